package extproc

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// reply makes the answer to a message that changes nothing, with gRPC's frame
// around it. An empty CommonResponse says CONTINUE. Where Envoy has handed the
// body over (FULL_DUPLEX_STREAMED, GRPC) it is given back.
func (st *stream) reply(m *message) []byte {
	// ProcessingResponse: request_headers 1, response_headers 2, request_body 3,
	// response_body 4, request_trailers 5, response_trailers 6.
	num := protowire.Number(m.part - 1)
	var inner []byte
	if mode := st.mode[m.side()]; m.isBody() && (mode == modeFullDuplex || mode == modeGRPC) {
		// BodyResponse.response 1 > CommonResponse.body_mutation 3 >
		// BodyMutation.streamed_response 3 > StreamedBodyResponse, whose fields
		// have the numbers of HttpBody's.
		inner = nested(nested(nested(m.echo(), 3), 3), 1)
	}
	msg := nested(inner, num)
	out := make([]byte, 5, 5+len(msg))
	binary.BigEndian.PutUint32(out[1:], uint32(len(msg)))
	return append(out, msg...)
}

func nested(b []byte, num protowire.Number) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func (m *message) echo() []byte {
	b := nested(m.body, 1)
	for i, set := range []bool{m.ended, m.blank, m.squeezed} {
		if set {
			b = protowire.AppendVarint(protowire.AppendTag(b, protowire.Number(2+i), protowire.VarintType), 1)
		}
	}
	return b
}

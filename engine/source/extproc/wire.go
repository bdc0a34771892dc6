package extproc

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// eachField visits the fields of a message: v has those that are bytes, n those
// that are numbers, the bits of a double among them. Other types are passed
// over.
func eachField(b []byte, visit func(num protowire.Number, v []byte, n uint64) error) error {
	for len(b) > 0 {
		num, typ, used := protowire.ConsumeTag(b)
		if used < 0 {
			return errMessage
		}
		b = b[used:]
		var v []byte
		var n uint64
		switch typ {
		case protowire.BytesType:
			v, used = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			n, used = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			n, used = protowire.ConsumeFixed64(b)
		default:
			used = protowire.ConsumeFieldValue(num, typ, b)
		}
		if used < 0 {
			return errMessage
		}
		b = b[used:]
		if err := visit(num, v, n); err != nil {
			return err
		}
	}
	return nil
}

func float(bits uint64) float64 { return math.Float64frombits(bits) }

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

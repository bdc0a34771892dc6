package extproc

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shadowaudit/shadowaudit/engine/source/envoy"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// message is what is needed of a ProcessingRequest.
type message struct {
	part     part
	header   traffic.Header // of headers and trailers
	body     []byte
	ended    bool // end_of_stream
	blank    bool // end_of_stream_without_message
	squeezed bool // grpc_message_compressed

	observed   bool // observability_mode
	modes      bool // protocol_config is there: the first message has it, unless Envoy only observes
	modeOf     [2]bodyMode
	attributes attributes
}

// part says what a message has. The numbers are those of the fields of
// ProcessingRequest.
type part uint8

const (
	requestHeaders   part = 2
	responseHeaders  part = 3
	requestBody      part = 4
	responseBody     part = 5
	requestTrailers  part = 6
	responseTrailers part = 7
)

// bodyMode is ProcessingMode.BodySendMode of
// envoy/extensions/filters/http/ext_proc/v3/processing_mode.proto.
type bodyMode uint8

const (
	modeNone       bodyMode = 0
	modeFullDuplex bodyMode = 4
	modeGRPC       bodyMode = 5 // bodies come message by message, without gRPC's framing
)

// attributes are those of https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
// that say something about an exchange.
type attributes struct {
	time       time.Time // request.time
	protocol   string    // request.protocol
	address    string    // source.address: of the connection, or of the client behind it
	connection float64   // connection.id
}

// decode reads a ProcessingRequest: the parts 2 to 7, attributes 9,
// observability_mode 10, protocol_config 11. Its bytes stay in use.
func decode(b []byte) (*message, error) {
	m := new(message)
	return m, envoy.EachField(b, func(num protowire.Number, v []byte, n uint64) (err error) {
		switch num {
		case protowire.Number(requestHeaders), protowire.Number(responseHeaders):
			m.part = part(num)
			err = m.decodeHeaders(v)
		case protowire.Number(requestBody), protowire.Number(responseBody):
			m.part = part(num)
			err = m.decodeBody(v)
		case protowire.Number(requestTrailers), protowire.Number(responseTrailers):
			m.part = part(num)
			err = m.decodeTrailers(v)
		case 9:
			err = m.attributes.decode(v)
		case 10:
			m.observed = n != 0
		case 11:
			m.modes = true
			err = m.decodeModes(v)
		}
		return err
	})
}

// decodeHeaders reads a HttpHeaders: headers 1, end_of_stream 3.
func (m *message) decodeHeaders(b []byte) error {
	return envoy.EachField(b, func(num protowire.Number, v []byte, n uint64) (err error) {
		switch num {
		case 1:
			err = envoy.DecodeHeaderMap(v, &m.header)
		case 3:
			m.ended = n != 0
		}
		return err
	})
}

// decodeTrailers reads a HttpTrailers: trailers 1.
func (m *message) decodeTrailers(b []byte) error {
	m.ended = true
	return envoy.EachField(b, func(num protowire.Number, v []byte, _ uint64) error {
		if num != 1 {
			return nil
		}
		return envoy.DecodeHeaderMap(v, &m.header)
	})
}

// decodeBody reads a HttpBody: body 1, end_of_stream 2,
// end_of_stream_without_message 3, grpc_message_compressed 4.
func (m *message) decodeBody(b []byte) error {
	return envoy.EachField(b, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case 1:
			m.body = v
		case 2:
			m.ended = n != 0
		case 3:
			m.blank = n != 0
		case 4:
			m.squeezed = n != 0
		}
		return nil
	})
}

// decodeModes reads a ProtocolConfiguration: request_body_mode 1,
// response_body_mode 2.
func (m *message) decodeModes(b []byte) error {
	return envoy.EachField(b, func(num protowire.Number, _ []byte, n uint64) error {
		if (num == 1 || num == 2) && n < 256 {
			m.modeOf[num-1] = bodyMode(n)
		}
		return nil
	})
}

// decode reads an entry of the map of attributes: the name of the filter 1, and
// a google.protobuf.Struct 2, whose fields 1 are entries again: name 1, value 2.
func (a *attributes) decode(b []byte) error {
	return envoy.EachField(b, func(num protowire.Number, v []byte, _ uint64) error {
		if num != 2 {
			return nil
		}
		return envoy.EachField(v, func(num protowire.Number, v []byte, _ uint64) error {
			if num != 1 {
				return nil
			}
			return a.decodeEntry(v)
		})
	})
}

func (a *attributes) decodeEntry(b []byte) error {
	var name string
	return envoy.EachField(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			name = string(v)
		case 2:
			return a.decodeValue(name, v)
		}
		return nil
	})
}

// decodeValue reads a google.protobuf.Value: number_value 2, string_value 3.
func (a *attributes) decodeValue(name string, b []byte) error {
	return envoy.EachField(b, func(num protowire.Number, v []byte, n uint64) error {
		switch {
		case name == "connection.id" && num == 2:
			a.connection = math.Float64frombits(n)
		case name == "request.protocol" && num == 3:
			a.protocol = string(v)
		case name == "source.address" && num == 3:
			a.address = string(v)
		case name == "request.time" && num == 3:
			a.time, _ = time.Parse(time.RFC3339Nano, string(v))
		}
		return nil
	})
}

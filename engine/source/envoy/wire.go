package envoy

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// EachField visits the fields of a message: v has those that are bytes, n those
// that are numbers, the bits of a double among them. Fields of other types are
// passed over. The error is ErrShape, or what visit returns.
func EachField(b []byte, visit func(num protowire.Number, v []byte, n uint64) error) error {
	for len(b) > 0 {
		num, typ, used := protowire.ConsumeTag(b)
		if used < 0 {
			return ErrShape
		}
		b = b[used:]
		var v []byte
		var n uint64
		known := true
		switch typ {
		case protowire.BytesType:
			v, used = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			n, used = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			n, used = protowire.ConsumeFixed64(b)
		default:
			used = protowire.ConsumeFieldValue(num, typ, b)
			known = false
		}
		if used < 0 {
			return ErrShape
		}
		b = b[used:]
		if !known {
			continue
		}
		if err := visit(num, v, n); err != nil {
			return err
		}
	}
	return nil
}

// DecodeHeaderMap reads a HeaderMap of envoy/config/core/v3/base.proto, headers
// 1, and adds its fields to h.
func DecodeHeaderMap(b []byte, h *traffic.Header) error {
	return EachField(b, func(num protowire.Number, v []byte, _ uint64) error {
		if num != 1 {
			return nil
		}
		return DecodeHeaderValue(v, h)
	})
}

// DecodeHeaderValue reads a HeaderValue of envoy/config/core/v3/base.proto, key
// 1, value 2, raw_value 3, and adds it to h. Envoy uses raw_value where a value
// need not be UTF-8.
func DecodeHeaderValue(b []byte, h *traffic.Header) error {
	var f traffic.Field
	err := EachField(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch {
		case num == 1:
			f.Name = string(v)
		case (num == 2 || num == 3) && len(v) > 0:
			f.Value = string(v)
		}
		return nil
	})
	*h = append(*h, f)
	return err
}

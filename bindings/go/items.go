// SPDX-License-Identifier: Apache-2.0

package tachyon

import (
	"context"
	"reflect"
	"unsafe"
)

// SendItems is SendBatch of values, numbers or structs and arrays of them, as they lie in memory.
func SendItems[T any](ctx context.Context, b *Bus, items []T, typeID uint32) (int, error) {
	data, size, err := bytesOf(items)
	if err != nil {
		return 0, err
	}
	return b.SendBatch(ctx, data, size, typeID)
}

// RecvItems is RecvBatch of such values.
func RecvItems[T any](ctx context.Context, b *Bus, into []T) (count int, typeID uint32, err error) {
	data, size, err := bytesOf(into)
	if err != nil {
		return 0, 0, err
	}
	return b.RecvBatch(ctx, data, size)
}

func bytesOf[T any](items []T) ([]byte, int, error) {
	t := reflect.TypeFor[T]()
	if !plain(t) {
		return nil, 0, failure(ErrInvalidSize, "%v is not of numbers alone", t)
	}
	size := int(t.Size())
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(items))), len(items)*size), size, nil
}

// plain tells whether any bytes are a value of the type: not so of pointers and bool.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return plain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !plain(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Complex128
}

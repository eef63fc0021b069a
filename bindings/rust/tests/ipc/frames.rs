// SPDX-License-Identifier: Apache-2.0
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{pair, Random, LONG};
use tachyon_ipc::{plain, Bool, Bus, Frame, FrameItem, FrameRef, ItemKind, TachyonError};

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(transparent)]
struct Bf16(u16);
plain!(Bf16 { 0: u16 });
impl FrameItem for Bf16 {
    const KIND: ItemKind = ItemKind::Bfloat;
}

/// The text of an error of this kind.
fn refused<T: std::fmt::Debug>(result: Result<T, TachyonError>, kind: &TachyonError) -> String {
    let error = result.unwrap_err();
    assert_eq!(error, *kind);
    error.to_string()
}

fn pass<T: FrameItem + PartialEq + std::fmt::Debug>(items: &[T], name: &str) {
    let (tx, rx) = pair(1 << 16);
    for round in 0..50 {
        let shape = [items.len() / 6, 2, 3];
        let frame = Frame::of(&shape, items).tag(round).type_id(round + 1);
        tx.send_frame(frame).unwrap();
        let message = rx.acquire_rx(100).unwrap();
        assert_eq!(message.type_id, round + 1);
        let frame = message.frame().unwrap();
        assert_eq!((frame.shape(), frame.tag()), (&shape[..], round));
        assert_eq!(frame.item_type().to_string(), name);
        assert!(!frame.is_column_major());
        assert_eq!(frame.bytes().len(), std::mem::size_of_val(items));
        assert_eq!(frame.bytes().as_ptr() as usize % 64, 0);
        assert_eq!(frame.as_slice::<T>().unwrap(), items);
    }
}

#[test]
fn arrays_of_every_kind_of_number_pass() {
    pass(&(0..60).collect::<Vec<u8>>(), "uint8");
    pass(&(0..60).collect::<Vec<u16>>(), "uint16");
    pass(&(0..60).collect::<Vec<u32>>(), "uint32");
    pass(&(0..60).collect::<Vec<u64>>(), "uint64");
    pass(&(0..60).collect::<Vec<u128>>(), "uint128");
    pass(&(-30..30).collect::<Vec<i8>>(), "int8");
    pass(&(-30..30).collect::<Vec<i16>>(), "int16");
    pass(&(-30..30).collect::<Vec<i32>>(), "int32");
    pass(&(-30..30).collect::<Vec<i64>>(), "int64");
    let floats: Vec<f32> = (0..60).map(|i| i as f32 / 3.0).collect();
    pass(&floats, "float32");
    let doubles: Vec<f64> = floats.iter().map(|&x| f64::from(x)).collect();
    pass(&doubles, "float64");
    let complex: Vec<[f32; 2]> = floats.iter().map(|&x| [x, -x]).collect();
    pass(&complex, "complex64");
    let halves: Vec<Bf16> = (0..60).map(Bf16).collect();
    pass(&halves, "bfloat16");
    let answers: Vec<Bool> = (0..60).map(|i| Bool::from(i % 3 == 0)).collect();
    pass(&answers, "bool");
    pass::<u8>(&[], "uint8"); // a shape of (0, 2, 3)
}

#[test]
fn shapes_of_no_and_of_six_dimensions_pass() {
    let (tx, rx) = pair(1 << 16);
    tx.send_frame(Frame::of(&[], &[7u32])).unwrap();
    let shape = [1, 2, 1, 3, 1, 4];
    let items: Vec<i16> = (0..24).collect();
    tx.send_frame(Frame::of(&shape, &items).column_major())
        .unwrap();
    let message = rx.acquire_rx(100).unwrap();
    let frame = message.frame().unwrap();
    assert_eq!(
        (frame.shape(), frame.as_slice()),
        (&[][..], Ok(&[7u32][..]))
    );
    drop(message);
    let message = rx.acquire_rx(100).unwrap();
    let frame = message.frame().unwrap();
    assert_eq!(frame.shape(), shape);
    assert!(frame.is_column_major());
    assert_eq!(frame.as_slice::<i16>().unwrap(), items);
}

#[test]
fn a_frame_of_another_number_of_items_is_not_sent() {
    let (tx, rx) = pair(4096);
    let wrong = TachyonError::InvalidSize;
    let items = [0u16; 10];
    assert_eq!(
        refused(tx.send_frame(Frame::of(&[3, 4], &items)), &wrong),
        "a frame of shape [3, 4] and items of uint16 has 24 bytes of items, not 20"
    );
    assert_eq!(
        refused(tx.send_frame(Frame::of(&[1; 7], &items[..1])), &wrong),
        "a frame of 7 dimensions; there can be 6"
    );
    for shape in [
        [usize::MAX, 1],
        [1 << 62, 2],
        [1 << 32, 1 << 32],
        [0, usize::MAX],
    ] {
        assert_eq!(
            refused(tx.send_frame(Frame::of(&shape, &items)), &wrong),
            "a frame of 2^63 bytes or more"
        );
    }
    let text = refused(tx.send_frame(Frame::of(&[4000], &[0u8; 4000])), &wrong);
    assert!(text.contains("4064"), "{text}"); // more than the ring can have
    let short = Duration::from_millis(5);
    let frame = Frame::of(&[3000], &[0u8; 3000]);
    tx.send_frame(frame).unwrap();
    assert_eq!(tx.send_frame(frame), Err(TachyonError::BufferFull));
    assert_eq!(
        refused(tx.send_frame_timeout(frame, short), &TachyonError::Timeout),
        "no room for 3064 bytes within 5ms"
    );
    assert_eq!(rx.acquire_rx(0).unwrap().frame().unwrap().shape(), [3000]);
    assert!(rx.try_acquire_rx().unwrap().is_none());
}

#[test]
fn items_of_another_type_are_refused_by_name() {
    let (tx, rx) = pair(1 << 16);
    tx.send_frame(Frame::of(&[4], &[1i32, 2, 3, 4])).unwrap();
    let message = rx.acquire_rx(100).unwrap();
    let frame = message.frame().unwrap();
    let unexpected = TachyonError::UnexpectedMessage;
    assert_eq!(
        refused(frame.as_slice::<u32>(), &unexpected),
        "a frame of items of int32, not of uint32"
    );
    assert_eq!(
        refused(frame.as_slice::<f32>(), &unexpected),
        "a frame of items of int32, not of float32"
    );
    assert_eq!(
        refused(frame.as_slice::<i64>(), &unexpected),
        "a frame of items of int32, not of int64"
    );
    assert_eq!(frame.as_slice::<i32>(), Ok(&[1, 2, 3, 4][..]));
}

/// The bytes of a frame of 4 x 5 x 3 items of 8 bits.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 64 + 60];
    bytes[..12].copy_from_slice(b"TACF\x01\x03\x01\x08\x01\x00\x00\x00");
    for (i, extent) in [4u8, 5, 3].into_iter().enumerate() {
        bytes[16 + 8 * i] = extent;
    }
    bytes
}

#[test]
fn what_is_no_frame_is_refused_and_stays_a_message() {
    let (tx, rx) = pair(1 << 16);
    let send = |bytes: &[u8]| {
        tx.send(bytes, 9).unwrap();
        let message = rx.acquire_rx(100).unwrap();
        let text = refused(message.frame(), &TachyonError::UnexpectedMessage);
        assert_eq!(message.data(), bytes);
        text
    };
    assert!(FrameRef::read(&image()).is_ok());
    for (offset, value, text) in [
        (0, b'X', "not a frame: it begins with 0x46434158 instead of 0x46434154"),
        (4, 9, "a frame of format 9; this end knows 1"),
        (5, 9, "a frame of 9 dimensions; there can be 6"),
        (6, 3, "a frame of items of code 3; 0 to 2 and 4 to 6 are int, uint, float, bfloat, complex and bool"),
        (7, 1, "a frame of items of 1 bits; they have 8 to 128, a multiple of 8"),
        (8, 2, "a frame of items of 2 lanes; they have 1"),
        (10, 4, "a frame with the flags 0x0004, of which only 0x0001 is known"),
        (63, 1, "a frame of 3 dimensions with 72057594037927936 items along dimension 5"),
        (23, 0x80, "a frame of -9223372036854775804 items along dimension 0"),
        (23, 0x7F, "a frame of 2^63 bytes or more"),
        (16, 5, "a frame whose shape makes 75 bytes of items, in a message with 60"),
    ] {
        let mut bytes = image();
        bytes[offset] = value;
        assert_eq!(send(&bytes), text);
    }
    let text = "a frame whose shape makes 60 bytes of items, in a message with 0";
    assert_eq!(send(&image()[..64]), text);
    let text = "not a frame: 63 bytes, fewer than the 64 of a header";
    assert_eq!(send(&image()[..63]), text);
    let text = "not a frame: 0 bytes, fewer than the 64 of a header";
    assert_eq!(send(b""), text);
}

/// Whatever a header says, what is taken for a frame lies within its message.
#[test]
fn hostile_headers_lead_nowhere() {
    let mut random = Random(5);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..100_000 {
        let mut bytes = image();
        for _ in 0..random.below(4) {
            let at = random.below(64);
            bytes[at] = match random.below(3) {
                0 => random.below(256) as u8,
                1 => bytes[at] ^ (1 << random.below(8)),
                _ => random.below(8) as u8,
            };
        }
        let Ok(frame) = FrameRef::read(&bytes) else {
            bad += 1;
            continue;
        };
        good += 1;
        let items: usize = frame.shape().iter().product();
        let item_bytes = usize::from(frame.item_type().bits) / 8;
        assert_eq!(items * item_bytes, frame.bytes().len());
        assert_eq!(frame.bytes(), &bytes[64..]);
        let _ = frame.as_slice::<u8>();
        let _ = frame.as_slice::<f64>();
        #[cfg(feature = "ndarray")]
        if let Ok(array) = frame.array::<u8>() {
            assert_eq!(array.iter().count(), items);
        }
    }
    assert!(good > 1000 && bad > 1000, "{good} {bad}");
}

/// A header of which the peer changes the shape, there and back, while it is read: it is
/// refused or one of the two, and stays what it was.
#[test]
fn a_header_that_changes_while_it_is_read_counts_as_it_was_copied() {
    let (tx, rx) = pair(1 << 16);
    tx.send(&image(), 1).unwrap();
    let message = rx.acquire_rx(100).unwrap();
    let words: *const AtomicU64 = message.data().as_ptr().cast();
    // The peer's view of the same memory, which it may write to whenever it likes.
    let shape = words as usize + 16;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: it is mapped, writable and aligned as long as the bus.
            let first = unsafe { &*(shape as *const AtomicU64) };
            while !over.load(Ordering::Relaxed) {
                first.store(1 << 40, Ordering::Relaxed);
                first.store(4, Ordering::Relaxed);
            }
        });
        let (mut good, mut bad) = (0u32, 0u32);
        for _ in 0..2_000_000 {
            match message.frame() {
                Ok(frame) => {
                    assert_eq!(frame.shape(), [4, 5, 3]);
                    assert_eq!(frame.bytes().len(), 60);
                    good += 1;
                }
                Err(_) => bad += 1,
            }
            if good > 500 && bad > 500 {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(good > 0 && bad > 0, "{good} {bad}");
    });
}

#[test]
fn frames_of_batches_and_of_what_is_held_are_read_too() {
    let (tx, rx) = pair(1 << 16);
    for round in 0..4u32 {
        tx.send_frame(Frame::of(&[2], &[round, round])).unwrap();
    }
    let batch = rx.drain_batch(2, 100).unwrap();
    let first = batch.get(1).unwrap().frame().unwrap();
    assert_eq!(first.as_slice(), Ok(&[1u32, 1][..]));
    batch.commit().unwrap();
    let (two, three) = (rx.acquire_rx_next(100), rx.acquire_rx_next(100));
    let (two, three) = (two.unwrap(), three.unwrap());
    assert_eq!(two.frame().unwrap().as_slice(), Ok(&[2u32, 2][..]));
    assert_eq!(three.frame().unwrap().as_slice(), Ok(&[3u32, 3][..]));
}

#[test]
fn the_halves_send_frames_too() {
    let (tx, rx) = pair(1 << 16);
    let (mut tx, mut rx) = (tx.into_producer(), rx.into_consumer());
    tx.send_frame(Frame::of(&[1], &[1u8])).unwrap();
    tx.send_frame_timeout(Frame::of(&[1], &[2u8]), LONG)
        .unwrap();
    for number in [1u8, 2] {
        let message = rx.recv().unwrap().unwrap();
        assert_eq!(message.frame().unwrap().bytes(), [number]);
    }
}

#[test]
fn a_frame_without_a_ring_is_read_where_it_lies() {
    let bytes = image();
    let frame = FrameRef::read(&bytes).unwrap();
    assert_eq!(frame.bytes().as_ptr(), bytes[64..].as_ptr());
    // One byte further a u16 lies at an odd address, or here.
    let mut wide = [0; 64 + 60 + 2];
    let odd = 1 - wide.as_ptr() as usize % 2;
    let mut header = image();
    header[7] = 16;
    header[16] = 2;
    wide[odd..odd + 124].copy_from_slice(&header);
    let frame = FrameRef::read(&wide[odd..odd + 124]).unwrap();
    let text = refused(frame.as_slice::<u16>(), &TachyonError::UnexpectedMessage);
    assert!(text.contains("not aligned"), "{text}");
}

#[cfg(feature = "ndarray")]
mod arrays {
    use super::*;
    use ndarray::{Array, Array2, Array3, ArrayD};

    fn numbers() -> Array3<f32> {
        Array::from_shape_fn((4, 5, 6), |(i, j, k)| (100 * i + 10 * j + k) as f32)
    }

    fn send<T: FrameItem>(tx: &Bus, array: &ArrayD<T>) {
        tx.send_frame(Frame::of_array(array).unwrap()).unwrap();
    }

    #[test]
    fn arrays_are_sent_and_seen_in_place() {
        let (tx, rx) = pair(1 << 16);
        let sent = numbers();
        send(&tx, &sent.clone().into_dyn());
        let message = rx.acquire_rx(100).unwrap();
        let frame = message.frame().unwrap();
        let seen = frame.array::<f32>().unwrap();
        assert_eq!(seen, sent.into_dyn());
        assert_eq!(seen.as_ptr().cast(), frame.bytes().as_ptr());
        assert!(frame.array::<f64>().is_err());
    }

    #[test]
    fn an_array_of_the_other_order_stays_one() {
        let (tx, rx) = pair(1 << 16);
        let sent = numbers().reversed_axes();
        send(&tx, &sent.clone().into_dyn());
        let message = rx.acquire_rx(100).unwrap();
        let frame = message.frame().unwrap();
        assert!(frame.is_column_major());
        assert_eq!(frame.shape(), [6, 5, 4]);
        assert_eq!(frame.array::<f32>().unwrap(), sent.into_dyn());
    }

    #[test]
    fn single_items_and_nothing_are_arrays() {
        let (tx, rx) = pair(1 << 16);
        send(&tx, &Array::from_elem((), 7i64).into_dyn());
        send(&tx, &Array2::<u8>::zeros((0, 5)).into_dyn());
        for (shape, count) in [(&[][..], 1), (&[0, 5][..], 0)] {
            let message = rx.acquire_rx(100).unwrap();
            let frame = message.frame().unwrap();
            assert_eq!(frame.shape(), shape);
            let items = match frame.array::<i64>() {
                Ok(array) => array.len(),
                Err(_) => frame.array::<u8>().unwrap().len(),
            };
            assert_eq!(items, count);
        }
    }

    #[test]
    fn an_array_with_gaps_is_refused() {
        let array = numbers();
        for view in [
            array.slice(ndarray::s![..;2, .., ..]),
            array.slice(ndarray::s![.., .., ..;-1]),
            array.view().permuted_axes([1, 0, 2]),
        ] {
            let text = refused(Frame::of_array(&view), &TachyonError::InvalidSize);
            assert!(text.contains("as_standard_layout()"), "{text}");
            let copy = view.as_standard_layout();
            assert!(Frame::of_array(&copy).is_ok());
        }
    }
}

//! Descriptors of tensors: lists of lengths that do not fit each other never reach the driver.

use super::*;
use crate::errors::*;

#[test]
fn lists_that_the_driver_would_read_past_are_refused() {
    let client = Client::new();
    let good = TensorMapEncode {
        address: client.device,
        dimensions: vec![64, 64],
        strides: vec![256],
        tile: vec![8, 8],
        element_strides: vec![1, 1],
        ..TensorMapEncode::default()
    };
    // The CPU device has no such thing; a driver that has takes it.
    let accepted = client.call(good.clone());
    assert!(
        accepted == Err(ERROR_NOT_SUPPORTED) || accepted.as_ref().is_ok_and(|m| m.len() == 128),
        "{accepted:?}"
    );
    let spoil: [fn(&mut TensorMapEncode); 8] = [
        |c| c.dimensions.clear(),
        |c| c.dimensions = vec![1; 6],
        |c| c.strides.clear(),
        |c| c.strides.push(1),
        |c| c.tile.truncate(1),
        |c| c.element_strides.truncate(1),
        |c| c.corners.push((0, 0)),
        |c| c.form = 3,
    ];
    for (n, spoil) in spoil.iter().enumerate() {
        for form in 0..3 {
            let mut bad = TensorMapEncode {
                form,
                ..good.clone()
            };
            spoil(&mut bad);
            assert_eq!(client.call(bad), Err(ERROR_INVALID_VALUE), "{n} {form}");
        }
    }
    for size in [0, 127, 129] {
        let command = TensorMapReplaceAddress {
            map: vec![0; size],
            address: client.device,
        };
        assert_eq!(client.call(command), Err(ERROR_INVALID_VALUE));
    }
}

//! Attributes of streams.
//!
//! See <https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__STREAM.html>. The device has no cache to set aside and one domain of memory synchronization; a stream
//! remembers what it is told and is scheduled by its priority.

use std::sync::atomic::Ordering;

use gvirtus_wire::api::types::{CUstream, CUstreamAttrValue};

use super::error::{ERROR_INVALID_VALUE, Result};
use super::scheduler::GREATEST_PRIORITY;
use super::{ffi, stream};

/// `CUstreamAttrID`.
mod id {
    pub(super) const ACCESS_POLICY_WINDOW: u32 = 1;
    pub(super) const SYNCHRONIZATION_POLICY: u32 = 3;
    pub(super) const PRIORITY: u32 = 8;
    pub(super) const SYNC_DOMAIN_MAP: u32 = 9;
    pub(super) const SYNC_DOMAIN: u32 = 10;
}

/// `CUaccessProperty`: normal, streaming, persisting.
const PERSISTING: u32 = 2;
/// `CU_SYNC_POLICY_AUTO` is the first of `CUsynchronizationPolicy`, `CU_SYNC_POLICY_BLOCKING_SYNC` the last.
const AUTO: u32 = 1;
/// What the driver gives as the policy of a stream for which none was ever set.
const NEVER_SET: u32 = u32::MAX;
const BLOCKING_SYNC: u32 = 4;

/// What a stream has for the attributes that are no fields of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    /// `CUaccessPolicyWindow`: base, bytes, hit ratio and property, miss property.
    window: [u64; 4],
    synchronization: u32,
    domain: u32,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            window: [0; 4],
            synchronization: NEVER_SET,
            domain: 0,
        }
    }
}

/// A window may be described, but as on any device whose `CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE` is 0 it covers nothing.
fn check_window(window: [u64; 4]) -> Result {
    let ratio = f32::from_bits(window[2] as u32);
    let (hit, miss) = ((window[2] >> 32) as u32, window[3] as u32);
    let fits =
        window[1] == 0 && (0.0..=1.0).contains(&ratio) && hit <= PERSISTING && miss < PERSISTING;
    if fits {
        Ok(())
    } else {
        Err(ERROR_INVALID_VALUE)
    }
}

pub(super) fn cuStreamSetAttribute(
    hStream: CUstream,
    attr: u32,
    value: *const CUstreamAttrValue,
) -> Result {
    let stream = stream::resolve(hStream)?;
    let words = ffi::get(value)?.words;
    let low = words[0] as u32;
    let mut attributes = stream.attributes.lock();
    match attr {
        id::ACCESS_POLICY_WINDOW => {
            let window = [words[0], words[1], words[2], words[3]];
            check_window(window)?;
            attributes.window = window;
        }
        id::SYNCHRONIZATION_POLICY if (AUTO..=BLOCKING_SYNC).contains(&low) => {
            attributes.synchronization = low;
        }
        id::PRIORITY => {
            let priority = low.cast_signed().clamp(GREATEST_PRIORITY, 0);
            stream.priority.store(priority, Ordering::Relaxed);
        }
        // Both of its bytes name a domain, and there is only the first.
        id::SYNC_DOMAIN_MAP if words[0] & 0xffff == 0 => {}
        id::SYNC_DOMAIN if low <= 1 => attributes.domain = low,
        _ => return Err(ERROR_INVALID_VALUE),
    }
    Ok(())
}

pub(super) fn cuStreamGetAttribute(
    hStream: CUstream,
    attr: u32,
    value_out: *mut CUstreamAttrValue,
) -> Result {
    let stream = stream::resolve(hStream)?;
    let attributes = *stream.attributes.lock();
    let mut words = [0; 8];
    match attr {
        id::ACCESS_POLICY_WINDOW => words[..4].copy_from_slice(&attributes.window),
        id::SYNCHRONIZATION_POLICY => words[0] = attributes.synchronization.into(),
        id::PRIORITY => {
            let priority = stream.priority.load(Ordering::Relaxed);
            words[0] = priority.cast_unsigned().into();
        }
        id::SYNC_DOMAIN_MAP => {}
        id::SYNC_DOMAIN => words[0] = attributes.domain.into(),
        _ => return Err(ERROR_INVALID_VALUE),
    }
    ffi::put(value_out, CUstreamAttrValue { words })
}

pub(super) fn cuStreamCopyAttributes(dst: CUstream, src: CUstream) -> Result {
    let (to, from) = (stream::resolve(dst)?, stream::resolve(src)?);
    if to.context_handle != from.context_handle {
        return Err(ERROR_INVALID_VALUE);
    }
    let attributes = *from.attributes.lock();
    *to.attributes.lock() = attributes;
    let priority = from.priority.load(Ordering::Relaxed);
    to.priority.store(priority, Ordering::Relaxed);
    Ok(())
}

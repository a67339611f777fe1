//! Execution of plans of cuDNN's graph API: a variant pack is made for the call and ended behind it.

use std::ffi::c_void;

use gvirtus_wire::api::library::LibraryExecute;
use gvirtus_wire::codec::DecodeError;
use gvirtus_wire::frame::Header;

use crate::objects::Object;
use crate::session::{Failure, Session};

/// `CUDA_ERROR_INVALID_HANDLE`.
const INVALID_HANDLE: i32 = 400;
/// `CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR`.
const VARIANT_PACK: i32 = 16;
/// Bytes of a value on the host.
const VALUE: usize = 16;

/// What the pack consists of: `cudnnBackendAttributeName_t`, `cudnnBackendAttributeType_t`.
const UNIQUE_IDS: (i32, i32) = (1000, 3);
const DATA_POINTERS: (i32, i32) = (1001, 6);
const WORKSPACE: (i32, i32) = (1003, 6);

type SetAttribute = unsafe extern "C" fn(usize, i32, i32, i64, *const c_void) -> i32;
type Finalize = unsafe extern "C" fn(usize) -> i32;
type Execute = unsafe extern "C" fn(usize, usize, usize) -> i32;

impl Session {
    /// Executes a plan.
    pub(crate) fn execute_plan(
        &self,
        header: &Header,
        execute: &LibraryExecute,
    ) -> Result<(), Failure> {
        let wrong = |what| Failure::Protocol(DecodeError::Invalid(what));
        let (words, rest) = execute.words.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (values, odd) = execute.values.as_chunks::<VALUE>();
        let Some((workspace, pointers)) = words.split_first() else {
            return Err(wrong("number of words"));
        };
        let tensors = execute.uids.len();
        if !rest.is_empty()
            || !odd.is_empty()
            || pointers.len() != tensors
            || execute.by_value.len() != tensors
        {
            return Err(wrong("variant pack"));
        }
        let plan = self.objects.get(u64::from(execute.plan), "Backend");
        let plan = plan.ok_or(Failure::Cuda(INVALID_HANDLE))?;
        let handle = self.handle(execute.handle)?;
        // Values lie in memory of ours, which no client knows the address of.
        let values: Vec<u128> = values.iter().map(|v| u128::from_le_bytes(*v)).collect();
        let mut addresses = Vec::with_capacity(tensors);
        for ((uid, &by_value), &word) in execute.uids.iter().zip(&execute.by_value).zip(pointers) {
            if by_value != plan.by_value.contains(uid) {
                return Err(wrong("kind of a tensor"));
            }
            addresses.push(if by_value {
                let at = usize::try_from(word).unwrap_or(usize::MAX);
                let value = values.get(at).ok_or(wrong("place of a value"))?;
                std::ptr::from_ref(value) as u64
            } else {
                word
            });
        }
        let status = match (handle.raw, plan.raw) {
            (Ok(raw), Ok(plan)) => {
                let mut status = Ok(self.description.not_initialized);
                let issued = self
                    .host
                    .on_stream(header, execute.stream, false, |stream| {
                        status = self
                            .prepare(&handle, raw, stream as usize, 0)
                            .map(|()| self.run(raw, plan, &execute.uids, &addresses, *workspace));
                    });
                issued.map_err(Failure::Cuda)?;
                status.map_err(Failure::Cuda)?
            }
            (Err(status), _) | (_, Err(status)) => status,
        };
        self.finished(header, "cudnnBackendExecute", &status.into())
    }

    fn run(
        &self,
        handle: usize,
        plan: usize,
        uids: &[i64],
        addresses: &[u64],
        workspace: u64,
    ) -> i32 {
        let Some([set, finalize, execute]) = self.backend() else {
            return self.description.not_supported;
        };
        let pack: Object = match self.make_object("Backend", Some(VARIANT_PACK)) {
            Ok(pack) => pack,
            Err(status) => return status,
        };
        let raw = match pack.raw {
            Ok(raw) => raw,
            Err(status) => return status,
        };
        // SAFETY: NVIDIA documents these signatures; arrays are as long as is said, descriptors and handle are alive.
        unsafe {
            let set: SetAttribute = std::mem::transmute(set as *const c_void);
            let finalize: Finalize = std::mem::transmute(finalize as *const c_void);
            let execute: Execute = std::mem::transmute(execute as *const c_void);
            let count = uids.len() as i64;
            let put = |(name, kind): (i32, i32), count: i64, elements: *const c_void| {
                set(raw, name, kind, count, elements)
            };
            let steps = [
                put(UNIQUE_IDS, count, uids.as_ptr().cast()),
                put(DATA_POINTERS, count, addresses.as_ptr().cast()),
                put(WORKSPACE, 1, (&raw const workspace).cast()),
            ];
            if let Some(failed) = steps.into_iter().find(|status| *status != 0) {
                return failed;
            }
            match finalize(raw) {
                0 => execute(handle, plan, raw),
                failed => failed,
            }
        }
    }
}

//! Texture and surface references of modules. The driver keeps what is bound to them, and launches read it.

use std::ffi::CString;
use std::sync::Arc;

use gvirtus_wire::api::core::{
    REFERENCE_ADDRESS_MODES, REFERENCE_ANISOTROPY, REFERENCE_BIAS, REFERENCE_BORDER,
    REFERENCE_CLAMP, REFERENCE_FILTER, REFERENCE_FLAGS, REFERENCE_FORMAT, REFERENCE_MIPMAP_FILTER,
    ReferenceState, SurfaceReferenceBind, SurfaceReferenceFind, TextureReferenceBind,
    TextureReferenceFind, TextureReferenceSet,
};
use gvirtus_wire::api::types::{CUDA_ARRAY_DESCRIPTOR, CUDA_TEXTURE_DESC};
use gvirtus_wire::command::{Answer, Handle as Handler};
use gvirtus_wire::frame::Header;

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_INVALID_VALUE, ERROR_NOT_FOUND, Result};
use crate::modules::Module;
use crate::session::Session;
use crate::textures::{ARRAY, LINEAR, MIPMAPPED_ARRAY, PITCH_2D};

/// `CU_TRSA_OVERRIDE_FORMAT`: required.
const OVERRIDE_FORMAT: u32 = 1;

/// A texture or surface reference; it goes with its module.
pub(crate) struct Reference {
    raw: Handle,
    pub(crate) module: Arc<Module>,
}

impl Session {
    /// The module's references have gone with it.
    pub(crate) fn forget_references(&self, module: &Arc<Module>) {
        for table in [&self.texture_references, &self.surface_references] {
            drop(table.drain(|reference| Arc::ptr_eq(&reference.module, module)));
        }
    }

    /// How a reference reads. What the driver does not tell is as nobody has set it.
    fn reference_state(&self, raw: Handle) -> ReferenceState {
        let driver = self.driver;
        let mut state = ReferenceState::default();
        let mut settings = CUDA_TEXTURE_DESC::default();
        let (mut channels, mut anisotropy) = (0, 0);
        if cu!(
            driver,
            cuTexRefGetFormat(&raw mut state.format, &raw mut channels, raw.ptr())
        )
        .is_ok()
        {
            state.channels = u32::try_from(channels).unwrap_or(0);
        }
        for (dimension, mode) in (0..).zip(&mut settings.addressMode) {
            let _ = cu!(
                driver,
                cuTexRefGetAddressMode(&raw mut *mode, raw.ptr(), dimension)
            );
        }
        let _ = cu!(
            driver,
            cuTexRefGetFilterMode(&raw mut settings.filterMode, raw.ptr())
        );
        let _ = cu!(
            driver,
            cuTexRefGetMipmapFilterMode(&raw mut settings.mipmapFilterMode, raw.ptr())
        );
        let _ = cu!(
            driver,
            cuTexRefGetMipmapLevelBias(&raw mut settings.mipmapLevelBias, raw.ptr())
        );
        let _ = cu!(
            driver,
            cuTexRefGetMipmapLevelClamp(
                &raw mut settings.minMipmapLevelClamp,
                &raw mut settings.maxMipmapLevelClamp,
                raw.ptr()
            )
        );
        let _ = cu!(
            driver,
            cuTexRefGetMaxAnisotropy(&raw mut anisotropy, raw.ptr())
        );
        let _ = cu!(
            driver,
            cuTexRefGetBorderColor(settings.borderColor.as_mut_ptr(), raw.ptr())
        );
        let _ = cu!(driver, cuTexRefGetFlags(&raw mut settings.flags, raw.ptr()));
        settings.maxAnisotropy = u32::try_from(anisotropy).unwrap_or(0);
        state.settings = (&settings).into();
        state
    }
}

/// A name cannot hold a NUL: none of that name is there.
fn symbol(name: String) -> Result<CString> {
    CString::new(name).map_err(|_| ERROR_NOT_FOUND)
}

impl Handler<TextureReferenceFind> for Session {
    fn handle(
        &self,
        header: &Header,
        command: TextureReferenceFind,
    ) -> Result<Answer<ReferenceState>> {
        self.texture_references.vacant(command.reference)?;
        let module = self.modules.get(command.module)?;
        self.enter(header)?;
        let name = symbol(command.name)?;
        let mut raw = std::ptr::null_mut();
        cu!(
            self.driver,
            cuModuleGetTexRef(&raw mut raw, module.raw.ptr(), name.as_ptr())
        )?;
        let raw = Handle::of(raw);
        let state = self.reference_state(raw);
        self.texture_references
            .store(command.reference, Ok(Arc::new(Reference { raw, module })))?;
        Ok(Answer::Now(state))
    }
}

impl Handler<TextureReferenceBind> for Session {
    fn handle(&self, header: &Header, command: TextureReferenceBind) -> Result<Answer<()>> {
        let reference = self.texture_references.get(command.reference)?;
        self.enter(header)?;
        // Checks that arrays are the session's, and memory, too.
        let resource = self.resource(&command.resource)?;
        let raw = reference.raw.ptr();
        let what = resource.res[0];
        match resource.resType {
            ARRAY => cu!(
                self.driver,
                cuTexRefSetArray(raw, Handle(what as usize).ptr(), OVERRIDE_FORMAT)
            ),
            MIPMAPPED_ARRAY => cu!(
                self.driver,
                cuTexRefSetMipmappedArray(raw, Handle(what as usize).ptr(), OVERRIDE_FORMAT)
            ),
            LINEAR => {
                let mut offset = 0;
                let bytes = resource.res[2] as usize;
                cu!(
                    self.driver,
                    cuTexRefSetAddress_v2(&raw mut offset, raw, what, bytes)
                )
            }
            PITCH_2D => {
                let desc = CUDA_ARRAY_DESCRIPTOR {
                    Width: resource.res[2] as usize,
                    Height: resource.res[3] as usize,
                    Format: resource.res[1] as u32,
                    NumChannels: (resource.res[1] >> 32) as u32,
                };
                let desc = (&raw const desc).cast();
                let pitch = resource.res[4] as usize;
                cu!(self.driver, cuTexRefSetAddress2D_v3(raw, desc, what, pitch))
            }
            _ => Err(ERROR_INVALID_VALUE),
        }
        .map(Answer::Now)
    }
}

impl Handler<TextureReferenceSet> for Session {
    fn handle(&self, header: &Header, command: TextureReferenceSet) -> Result<Answer<()>> {
        let reference = self.texture_references.get(command.reference)?;
        self.enter(header)?;
        let (raw, driver) = (reference.raw.ptr(), self.driver);
        let TextureReferenceSet { what, state, .. } = command;
        let mut settings = CUDA_TEXTURE_DESC::from(&state.settings);
        let set = |part: u32| what & part != 0;
        if set(REFERENCE_FORMAT) {
            let channels = i32::try_from(state.channels).map_err(|_| ERROR_INVALID_VALUE)?;
            cu!(driver, cuTexRefSetFormat(raw, state.format, channels))?;
        }
        if set(REFERENCE_ADDRESS_MODES) {
            for (dimension, mode) in (0..).zip(settings.addressMode) {
                cu!(driver, cuTexRefSetAddressMode(raw, dimension, mode))?;
            }
        }
        if set(REFERENCE_FILTER) {
            cu!(driver, cuTexRefSetFilterMode(raw, settings.filterMode))?;
        }
        if set(REFERENCE_MIPMAP_FILTER) {
            let filter = settings.mipmapFilterMode;
            cu!(driver, cuTexRefSetMipmapFilterMode(raw, filter))?;
        }
        if set(REFERENCE_BIAS) {
            let bias = settings.mipmapLevelBias;
            cu!(driver, cuTexRefSetMipmapLevelBias(raw, bias))?;
        }
        if set(REFERENCE_CLAMP) {
            let (lowest, highest) = (settings.minMipmapLevelClamp, settings.maxMipmapLevelClamp);
            cu!(driver, cuTexRefSetMipmapLevelClamp(raw, lowest, highest))?;
        }
        if set(REFERENCE_ANISOTROPY) {
            cu!(
                driver,
                cuTexRefSetMaxAnisotropy(raw, settings.maxAnisotropy)
            )?;
        }
        if set(REFERENCE_BORDER) {
            let border = settings.borderColor.as_mut_ptr();
            cu!(driver, cuTexRefSetBorderColor(raw, border))?;
        }
        if set(REFERENCE_FLAGS) {
            cu!(driver, cuTexRefSetFlags(raw, settings.flags))?;
        }
        Ok(Answer::Now(()))
    }
}

impl Handler<SurfaceReferenceFind> for Session {
    fn handle(&self, header: &Header, command: SurfaceReferenceFind) -> Result<Answer<()>> {
        self.surface_references.vacant(command.reference)?;
        let module = self.modules.get(command.module)?;
        self.enter(header)?;
        let name = symbol(command.name)?;
        let mut raw = std::ptr::null_mut();
        cu!(
            self.driver,
            cuModuleGetSurfRef(&raw mut raw, module.raw.ptr(), name.as_ptr())
        )?;
        let raw = Handle::of(raw);
        self.surface_references
            .store(command.reference, Ok(Arc::new(Reference { raw, module })))
            .map(Answer::Now)
    }
}

impl Handler<SurfaceReferenceBind> for Session {
    fn handle(&self, header: &Header, command: SurfaceReferenceBind) -> Result<Answer<()>> {
        let reference = self.surface_references.get(command.reference)?;
        let array = self.arrays.get(command.array)?;
        self.enter(header)?;
        cu!(
            self.driver,
            cuSurfRefSetArray(reference.raw.ptr(), array.raw.ptr(), 0)
        )
        .map(Answer::Now)
    }
}

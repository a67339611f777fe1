//! The device's `printf`: <https://docs.nvidia.com/cuda/cuda-c-programming-guide/#formatted-output>.

use super::state::{Grid, Shared, Trouble, Warp};

/// Most that one directive may be asked to fill.
const MAX_FIELD: usize = 4096;

impl Warp {
    /// Formats with the arguments that lie packed at generic address `buffer`, each aligned to its size. The text and the number of arguments.
    pub(super) fn format(
        &mut self,
        grid: &Grid<'_>,
        shared: &Shared,
        format: &[u8],
        buffer: u64,
        lane: u32,
    ) -> Result<(Vec<u8>, u64), Trouble> {
        let mut out = Vec::with_capacity(format.len() + 32);
        let (mut at, mut count) = (0u64, 0u64);
        let mut rest = format;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte != b'%' {
                out.push(byte);
                continue;
            }
            if rest.first() == Some(&b'%') {
                out.push(b'%');
                rest = &rest[1..];
                continue;
            }
            let Some(directive) = Directive::parse(rest) else {
                // Not a directive: printed as it stands.
                out.push(b'%');
                continue;
            };
            rest = &rest[directive.length..];
            let size = if directive.wide() { 8 } else { 4 };
            at = at.next_multiple_of(size);
            let mut raw = [0u8; 8];
            self.read_bytes(
                grid,
                shared,
                buffer.wrapping_add(at),
                &mut raw[..size as usize],
                lane,
            )?;
            at += size;
            count += 1;
            let value = u64::from_le_bytes(raw);
            if directive.kind == b's' {
                let text = if value == 0 {
                    b"(null)".to_vec()
                } else {
                    self.read_string(grid, shared, value, lane)?
                };
                directive.text(&mut out, &text);
            } else {
                directive.number(&mut out, value);
            }
        }
        Ok((out, count))
    }
}

/// `%[flags][width][.precision][size]type`.
struct Directive {
    flags: Vec<u8>,
    width: usize,
    precision: Option<usize>,
    /// `h`, `hh`, `l`, `ll` or nothing.
    size: Vec<u8>,
    kind: u8,
    length: usize,
}

impl Directive {
    /// Parses what stands after the `%`.
    fn parse(text: &[u8]) -> Option<Directive> {
        let mut at = 0;
        let run = |at: &mut usize, ok: fn(u8) -> bool| {
            let from = *at;
            while text.get(*at).is_some_and(|&b| ok(b)) {
                *at += 1;
            }
            &text[from..*at]
        };
        let number = |digits: &[u8]| {
            digits.iter().fold(0usize, |n, d| {
                (n * 10 + usize::from(d - b'0')).min(MAX_FIELD)
            })
        };
        let flags = run(&mut at, |b| b"#0- +".contains(&b)).to_vec();
        let width = number(run(&mut at, |b| b.is_ascii_digit()));
        let mut precision = None;
        if text.get(at) == Some(&b'.') {
            at += 1;
            precision = Some(number(run(&mut at, |b| b.is_ascii_digit())));
        }
        let size = run(&mut at, |b| b"hljztL".contains(&b)).to_vec();
        let kind = *text.get(at)?;
        b"diouxXcspfFeEgGaA".contains(&kind).then_some(Directive {
            flags,
            width,
            precision,
            size,
            kind,
            length: at + 1,
        })
    }

    fn is_float(&self) -> bool {
        b"fFeEgGaA".contains(&self.kind)
    }

    /// Whether the argument takes eight bytes.
    fn wide(&self) -> bool {
        self.is_float()
            || matches!(self.kind, b's' | b'p')
            || (self.kind != b'c' && self.size.iter().any(|b| b"ljzt".contains(b)))
    }

    fn text(&self, out: &mut Vec<u8>, text: &[u8]) {
        let text = &text[..text.len().min(self.precision.unwrap_or(usize::MAX))];
        let pad = self.width.saturating_sub(text.len());
        if !self.flags.contains(&b'-') {
            out.resize(out.len() + pad, b' ');
        }
        out.extend_from_slice(text);
        if self.flags.contains(&b'-') {
            out.resize(out.len() + pad, b' ');
        }
    }

    /// Formats with the C library, from a directive that is built here and not by the kernel.
    fn number(&self, out: &mut Vec<u8>, value: u64) {
        let mut format = vec![b'%'];
        format.extend_from_slice(&self.flags);
        if self.width > 0 {
            format.extend_from_slice(self.width.to_string().as_bytes());
        }
        if let Some(precision) = self.precision {
            format.push(b'.');
            format.extend_from_slice(precision.to_string().as_bytes());
        }
        let mut field = vec![0u8; 2 * MAX_FIELD];
        let buffer: *mut libc::c_char = field.as_mut_ptr().cast();
        let short = self.size.iter().filter(|&&b| b == b'h').count();
        let narrow = |signed: bool| match (self.wide(), short, signed) {
            (true, ..) => value as i64,
            (_, 1, true) => i64::from(value as i16),
            (_, 1, false) => i64::from(value as u16),
            (_, 2.., true) => i64::from(value as i8),
            (_, 2.., false) => i64::from(value as u8),
            (_, _, true) => i64::from(value as i32),
            (_, _, false) => i64::from(value as u32),
        };
        let end: &[u8] = match self.kind {
            b'c' => b"c\0",
            b'p' => b"p\0",
            k if self.is_float() => &[k, 0],
            k => &[b'l', b'l', k, 0],
        };
        format.extend_from_slice(end);
        // SAFETY: the format ends with NUL, has one directive, whose type is that of the argument; the buffer's length is given.
        let length = unsafe {
            let format: *const libc::c_char = format.as_ptr().cast();
            match self.kind {
                b'c' => libc::snprintf(buffer, field.len(), format, value as libc::c_int),
                b'p' => libc::snprintf(
                    buffer,
                    field.len(),
                    format,
                    value as usize as *const libc::c_void,
                ),
                b'd' | b'i' => libc::snprintf(buffer, field.len(), format, narrow(true)),
                _ if self.is_float() => {
                    libc::snprintf(buffer, field.len(), format, f64::from_bits(value))
                }
                _ => libc::snprintf(buffer, field.len(), format, narrow(false)),
            }
        };
        out.extend_from_slice(&field[..(length.max(0) as usize).min(field.len() - 1)]);
    }
}

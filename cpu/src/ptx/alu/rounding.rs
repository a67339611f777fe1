//! Directed rounding without touching the control word of the CPU: results are rounded to nearest first and then corrected by the sign of the exact error.

/// A rounding mode of PTX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Round {
    Nearest,
    Zero,
    Down,
    Up,
}

impl Round {
    /// From the bits that instructions carry.
    pub(crate) fn from_bits(bits: u8) -> Round {
        match bits & 3 {
            0 => Round::Nearest,
            1 => Round::Zero,
            2 => Round::Down,
            _ => Round::Up,
        }
    }
}

/// Corrects `r`, the nearest value, given the sign of (exact - r).
fn correct64(r: f64, error: f64, mode: Round) -> f64 {
    if error == 0.0 || error.is_nan() || r.is_nan() {
        return r;
    }
    match mode {
        Round::Down if error < 0.0 => r.next_down(),
        Round::Up if error > 0.0 => r.next_up(),
        Round::Zero if r > 0.0 && error < 0.0 => r.next_down(),
        Round::Zero if r < 0.0 && error > 0.0 => r.next_up(),
        _ => r,
    }
}

/// Rounds `value + tail` (`tail` much smaller than `value`, only its sign counts) to single precision.
pub(crate) fn to_f32(value: f64, tail: f64, mode: Round) -> f32 {
    let r = round_odd_f32(value, tail);
    if mode == Round::Nearest || value.is_nan() || value.is_infinite() {
        return r;
    }
    let difference = value - f64::from(r);
    let error = if difference != 0.0 { difference } else { tail };
    if error == 0.0 {
        return r;
    }
    match mode {
        Round::Down if error < 0.0 => r.next_down(),
        Round::Up if error > 0.0 => r.next_up(),
        Round::Zero if r > 0.0 && error < 0.0 => r.next_down(),
        Round::Zero if r < 0.0 && error > 0.0 => r.next_up(),
        // An exact value that is tiny and rounds to zero keeps its sign.
        _ => r,
    }
}

/// `value + tail` rounded to odd in double precision: safe to round again to a narrower format.
pub(crate) fn odd(value: f64, tail: f64) -> f64 {
    if tail == 0.0 || !value.is_finite() || tail.is_nan() || value.to_bits() & 1 != 0 {
        return value;
    }
    // `value` is even: the exact result lies between it and a neighbour, which is odd.
    if tail > 0.0 {
        value.next_up()
    } else {
        value.next_down()
    }
}

fn round_odd_f32(value: f64, tail: f64) -> f32 {
    odd(value, tail) as f32
}

/// `a + b` and its exact error.
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    if !s.is_finite() {
        // Overflow of finite numbers: the exact value is smaller in size than infinity.
        let error = if a.is_finite() && b.is_finite() {
            -s.signum()
        } else {
            0.0
        };
        return (s, error);
    }
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// `a * b` and the sign of its exact error (as some number of that sign).
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let p = a * b;
    if !p.is_finite() {
        return (
            p,
            if a.is_finite() && b.is_finite() {
                -p.signum()
            } else {
                0.0
            },
        );
    }
    if p == 0.0 {
        let exact_zero = a == 0.0 || b == 0.0;
        return (
            p,
            if exact_zero {
                0.0
            } else {
                a.signum() * b.signum()
            },
        );
    }
    if p.abs() < 1e-250 {
        let up = 2f64.powi(400);
        // The larger factor may not bear scaling up; the smaller one always does.
        let (small, large) = if a.abs() < b.abs() { (a, b) } else { (b, a) };
        let (x, y, scaled) = if large.abs() > 1e100 {
            (small * up * up, large, p * up * up)
        } else {
            (small * up, large * up, p * up * up)
        };
        return (p, x.mul_add(y, -scaled));
    }
    (p, a.mul_add(b, -p))
}

fn zero_sum_sign(r: f64, a: f64, b: f64, mode: Round) -> f64 {
    // x + (-x) is -0 when rounding down.
    if r == 0.0
        && mode == Round::Down
        && (a.is_sign_negative() || b.is_sign_negative())
        && !a.is_nan()
        && !b.is_nan()
    {
        -0.0
    } else {
        r
    }
}

/// `a + b` in double precision.
pub(crate) fn add64(a: f64, b: f64, mode: Round) -> f64 {
    let (s, error) = two_sum(a, b);
    if mode == Round::Nearest {
        s
    } else {
        zero_sum_sign(correct64(s, error, mode), a, b, mode)
    }
}

/// `a * b` in double precision.
pub(crate) fn mul64(a: f64, b: f64, mode: Round) -> f64 {
    if mode == Round::Nearest {
        return a * b;
    }
    let (p, error) = two_product(a, b);
    signed_zero(correct64(p, error, mode), a * b)
}

/// A result that became zero keeps the sign of the exact value.
fn signed_zero(r: f64, like: f64) -> f64 {
    if r == 0.0 { 0f64.copysign(like) } else { r }
}

/// `a * b + c` in double precision.
pub(crate) fn fma64(a: f64, b: f64, c: f64, mode: Round) -> f64 {
    let r = a.mul_add(b, c);
    if mode == Round::Nearest || !a.is_finite() || !b.is_finite() || !c.is_finite() {
        return r;
    }
    let (p, e) = two_product(a, b);
    if r == 0.0 && p == -c && e == 0.0 {
        return if p == 0.0 && c == 0.0 && p.is_sign_negative() == c.is_sign_negative() {
            r
        } else if mode == Round::Down {
            -0.0
        } else {
            0.0
        };
    }
    if r.is_infinite() {
        return correct64(r, -r.signum(), mode);
    }
    if c == 0.0 {
        return mul64(a, b, mode);
    }
    if a == 0.0 || b == 0.0 {
        return c;
    }
    // Bring everything into the middle of the range, where error terms are exact.
    let magnitude = p.abs().max(c.abs());
    let scale = if magnitude > 1e150 {
        2f64.powi(-200)
    } else if magnitude < 1e-150 {
        2f64.powi(500)
    } else {
        1.0
    };
    // The factor that bears it is scaled.
    let (small, large) = if a.abs() < b.abs() { (a, b) } else { (b, a) };
    let (x, y) = if scale < 1.0 {
        (small, large * scale)
    } else {
        (small * scale, large)
    };
    let (z, target) = (c * scale, r * scale);
    if (x * y).abs() < 1e-250 {
        // The product is far below the last place of `c`: only its sign counts.
        return correct64(r, a.signum() * b.signum(), mode);
    }
    let (p, e) = two_product(x, y);
    // Sign of p + e + z - target, summed exactly.
    let (s1, e1) = two_sum(z, -target);
    let (s2, e2) = two_sum(p, s1);
    let (s3, e3) = two_sum(e, e1);
    let (s4, e4) = two_sum(s3, e2);
    let (s5, e5) = two_sum(s2, s4);
    let error = [s5, e5 + e4, e3]
        .into_iter()
        .find(|v| *v != 0.0)
        .unwrap_or(if z == 0.0 { c } else { 0.0 });
    correct64(r, error, mode)
}

/// `a / b` in double precision.
pub(crate) fn div64(a: f64, b: f64, mode: Round) -> f64 {
    let q = a / b;
    if mode == Round::Nearest || !a.is_finite() || !b.is_finite() || b == 0.0 || a == 0.0 {
        return q;
    }
    if q.is_infinite() {
        return correct64(q, -q.signum(), mode);
    }
    // Scale both to about 1: the quotient's error has the same sign.
    let (sa, sb) = (normal(a), normal(b));
    let shift = sa.1 - sb.1;
    let scaled = scale_by(q, -shift);
    if q == 0.0 {
        return signed_zero(correct64(q, a.signum() * b.signum(), mode), q);
    }
    let error = (-scaled).mul_add(sb.0, sa.0) * sb.0.signum();
    correct64(q, error, mode)
}

/// The number scaled to `[1, 2)` and the exponent that was taken out.
fn normal(x: f64) -> (f64, i32) {
    let (y, bias) = if x.abs() < f64::MIN_POSITIVE {
        (x * 2f64.powi(60), -60)
    } else {
        (x, 0)
    };
    let exponent = ((y.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    (
        f64::from_bits((y.to_bits() & !(0x7ff << 52)) | 1023 << 52),
        exponent + bias,
    )
}

fn scale_by(x: f64, by: i32) -> f64 {
    let half = by / 2;
    x * 2f64.powi(half) * 2f64.powi(by - half)
}

/// Square root in double precision.
pub(crate) fn sqrt64(a: f64, mode: Round) -> f64 {
    let r = a.sqrt();
    if mode == Round::Nearest || !r.is_finite() || r == 0.0 {
        return r;
    }
    let scale = if a < 1e-200 { 2f64.powi(300) } else { 1.0 };
    let (x, y) = (a * scale * scale, r * scale);
    correct64(r, (-y).mul_add(y, x), mode)
}

/// `a + b` in single precision.
pub(crate) fn add32(a: f32, b: f32, mode: Round) -> f32 {
    let (s, error) = two_sum(f64::from(a), f64::from(b));
    if s == 0.0 {
        return zero_sum_sign(s, f64::from(a), f64::from(b), mode) as f32;
    }
    to_f32(s, error, mode)
}

/// `a * b` in single precision.
pub(crate) fn mul32(a: f32, b: f32, mode: Round) -> f32 {
    to_f32(f64::from(a) * f64::from(b), 0.0, mode)
}

/// `a * b + c` in single precision.
pub(crate) fn fma32(a: f32, b: f32, c: f32, mode: Round) -> f32 {
    if mode == Round::Nearest {
        return a.mul_add(b, c);
    }
    let p = f64::from(a) * f64::from(b);
    let (s, error) = two_sum(p, f64::from(c));
    if s == 0.0 {
        return zero_sum_sign(s, p, f64::from(c), mode) as f32;
    }
    to_f32(s, error, mode)
}

/// `a / b` in single precision.
pub(crate) fn div32(a: f32, b: f32, mode: Round) -> f32 {
    let q = f64::from(a) / f64::from(b);
    if !q.is_finite() || q == 0.0 {
        return q as f32;
    }
    let error = (-q).mul_add(f64::from(b), f64::from(a)) * f64::from(b).signum();
    to_f32(q, error, mode)
}

/// Square root in single precision.
pub(crate) fn sqrt32(a: f32, mode: Round) -> f32 {
    let r = f64::from(a).sqrt();
    if !r.is_finite() || r == 0.0 {
        return r as f32;
    }
    to_f32(r, (-r).mul_add(r, f64::from(a)), mode)
}

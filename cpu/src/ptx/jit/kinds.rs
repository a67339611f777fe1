//! Which registers machine code keeps as floating-point numbers.

use super::names::Names;
use super::plan::Plan;
use crate::ptx::code::{Ins, Loc, OFFSET, Op, Program};
use crate::ptx::exec::state::Line;
use crate::ptx::types::Width;

/// Operands of an operation that are floating-point numbers: `d`, `a`, `b`, `c`; none if it is about other things. True if its result has one NaN only.
fn numbers(name: &str) -> Option<([bool; 4], bool)> {
    let (all, d, ab) = (
        [true; 4],
        [true, false, false, false],
        [false, true, true, false],
    );
    Some(match name {
        "add_f32" | "add_ftz_f32" | "sub_f32" | "sub_ftz_f32" | "mul_f32" | "mul_ftz_f32"
        | "fma_f32" | "fma_ftz_f32" | "div_f32" | "sqrt_f32" | "rcp_f32" | "rsqrt_f32"
        | "neg_f32" | "abs_f32" | "min_f32" | "max_f32" => (all, true),
        "sin_f32" | "cos_f32" | "lg2_f32" | "ex2_f32" | "tanh_f32" | "cvt_s32_f32"
        | "cvt_u32_f32" => (d, true),
        "add_f64" | "sub_f64" | "mul_f64" | "fma_f64" | "div_f64" | "sqrt_f64" | "rcp_f64"
        | "neg_f64" | "abs_f64" | "cvt_f32_f64" | "cvt_f64_f32" => (all, false),
        "cvt_s32_f64" | "cvt_u32_f64" => (d, false),
        "cvt_rzi_f32_s32" | "cvt_rzi_f32_u32" => ([false, true, false, false], false),
        _ if name.starts_with("eq_f")
            || name.starts_with("lt_f")
            || name.starts_with("le_f")
            || name.starts_with("lg_f")
            || name.starts_with("num_f") =>
        {
            (ab, false)
        }
        _ => return None,
    })
}

/// Whether an operation only moves bits.
fn moves(name: &str) -> bool {
    matches!(name, "mov_32" | "mov_64" | "select_32" | "select_64")
}

/// For each register: whether it is a floating-point number, and whether its NaN may be any until somebody looks.
pub(super) fn choose(
    plan: &Plan,
    program: &Program,
    names: &Names,
    constants: &[Line],
) -> (Vec<bool>, Vec<bool>) {
    let mut votes = vec![0i32; plan.registers.len()];
    let inline: Vec<&Ins> = plan
        .blocks
        .iter()
        .filter(|block| !block.is_boundary())
        .flat_map(|block| &program.code[block.start as usize..block.end as usize])
        .collect();
    for ins in &inline {
        if ins.op != Op::Alu {
            continue;
        }
        let name = names.of(ins);
        if moves(name) {
            continue;
        }
        let which = numbers(name).map_or([false; 4], |n| n.0);
        for (loc, is) in [ins.d, ins.a, ins.b, ins.c].into_iter().zip(which) {
            if let Some(&k) = plan.numbers.get(&loc) {
                votes[k] += if is { 1 } else { -1 };
            }
        }
    }
    let float: Vec<bool> = votes
        .iter()
        .zip(&plan.registers)
        .map(|(&votes, r)| votes > 0 && matches!(r.1, Width::W32 | Width::W64))
        .collect();
    // All are taken for lazy until a definition says otherwise.
    let mut lazy: Vec<bool> = float
        .iter()
        .zip(&plan.registers)
        .map(|(&float, r)| float && r.1 == Width::W32)
        .collect();
    let mut changed = true;
    while changed {
        changed = false;
        let mut refuse = |loc: Loc, lazy: &mut Vec<bool>| {
            if let Some(&k) = plan.numbers.get(&loc) {
                changed |= std::mem::replace(&mut lazy[k], false);
            }
        };
        for ins in &inline {
            match ins.op {
                Op::Alu => {
                    let name = names.of(ins);
                    let settled = |loc: Loc| match plan.numbers.get(&loc) {
                        Some(&k) => lazy[k],
                        None => loc >> 30 == 1 && !is_nan(constants, loc),
                    };
                    let good = match name {
                        "mov_32" => settled(ins.a),
                        "select_32" => settled(ins.a) && settled(ins.b),
                        "cvt_f64_f32" => false,
                        _ => numbers(name).is_some_and(|n| n.1),
                    };
                    if !good {
                        refuse(ins.d, &mut lazy);
                        refuse(ins.e, &mut lazy);
                    }
                }
                Op::Load | Op::LoadParam => {
                    let access = &program.accesses[ins.imm as usize];
                    if access.count > 1 {
                        for k in 0..u32::from(access.count) {
                            refuse(program.lists[(access.list + k) as usize], &mut lazy);
                        }
                    } else {
                        refuse(ins.d, &mut lazy);
                    }
                }
                _ => refuse(ins.d, &mut lazy),
            }
        }
    }
    // What boundaries write comes in by the frame, and may be any NaN, too.
    for block in plan.blocks.iter().filter(|block| block.is_boundary()) {
        for ins in &program.code[block.start as usize..block.end as usize] {
            for loc in [ins.d, ins.a, ins.b, ins.c, ins.e] {
                if let Some(&k) = plan.numbers.get(&loc) {
                    lazy[k] = false;
                }
            }
            if matches!(ins.op, Op::Load | Op::Store) {
                let access = &program.accesses[ins.imm as usize];
                if access.count > 1 {
                    for k in 0..u32::from(access.count) {
                        if let Some(&k) =
                            plan.numbers.get(&program.lists[(access.list + k) as usize])
                        {
                            lazy[k] = false;
                        }
                    }
                }
            } else if matches!(ins.op, Op::Image | Op::Matrix) {
                lazy.fill(false);
            }
        }
    }
    (float, lazy)
}

fn is_nan(constants: &[Line], loc: Loc) -> bool {
    let at = (loc & OFFSET) as usize;
    let word = &constants[at / 64].0[at % 64..][..4];
    f32::from_le_bytes([word[0], word[1], word[2], word[3]]).is_nan()
}

//! PTX text around forms: a kernel loads the operands of its thread, does what the form says, and stores the results.

use crate::TUPLES;
use crate::operands::Kind;
use crate::table::Form;

/// Bytes from one operand of a thread to the next, and from one result to the next.
pub const SLOT: usize = 8 * TUPLES;

/// How a module begins.
pub const HEADER: &str = ".version 8.6\n.target sm_90\n.address_size 64\n";

/// Names of the operands' registers.
pub fn operand_name(k: usize) -> String {
    match k {
        0..4 => format!("%{}", ["a", "b", "c", "e"][k]),
        _ => format!("%s{k}"),
    }
}

/// Names of the results' registers.
pub fn result_name(k: usize) -> String {
    if k == 0 {
        "%d".to_owned()
    } else {
        format!("%d{k}")
    }
}

/// The text of one kernel called `name`.
pub fn kernel(form: &Form, name: &str) -> String {
    let mut t = format!(
        ".visible .entry {name}(.param .u64 in, .param .u64 out)\n{{\n.reg .b64 %in, %out, %at; .reg .b64 %tiles; .reg .b32 %block, %thread, %word; .shared .align 128 .b8 room[32768];\n"
    );
    let ty = |kind: &Kind| match kind.bits {
        1 => "pred".to_owned(),
        bits => format!("b{bits}"),
    };
    for (k, kind) in form.operands.iter().enumerate() {
        t += &format!(".reg .{} {};\n", ty(kind), operand_name(k));
    }
    for (k, kind) in form.results.iter().enumerate() {
        t += &format!(".reg .{} {};\n", ty(kind), result_name(k));
    }
    t += "ld.param.u64 %in, [in]; ld.param.u64 %out, [out]; mov.u32 %block, %ctaid.x; mov.u32 %thread, %tid.x; mad.lo.u32 %block, %block, 128, %thread;\n";
    t += "mad.wide.u32 %in, %block, 8, %in; mad.wide.u32 %out, %block, 8, %out;\n";
    for (k, kind) in form.operands.iter().enumerate() {
        let (name, at) = (operand_name(k), k * SLOT);
        t += &match kind.bits {
            1 => format!("ld.global.u32 %word, [%in+{at}]; setp.ne.u32 {name}, %word, 0;\n"),
            bits => format!("ld.global.b{bits} {name}, [%in+{at}];\n"),
        };
    }
    if form.text.contains("%tiles") {
        t += "shr.u32 %word, %thread, 5; mul.wide.u32 %tiles, %word, 8192; mov.u64 %at, room; add.u64 %tiles, %tiles, %at; cvta.shared.u64 %tiles, %tiles;\n";
    }
    t += "{\n";
    t += &form.text;
    t += "\n}\n";
    for (k, kind) in form.results.iter().enumerate() {
        let (name, at) = (result_name(k), k * SLOT);
        t += &match kind.bits {
            1 => format!("selp.u32 %word, 1, 0, {name}; st.global.u32 [%out+{at}], %word;\n"),
            bits => format!("st.global.b{bits} [%out+{at}], {name};\n"),
        };
    }
    t += "ret;\n}\n";
    t
}

/// A module of all the forms; the kernels are called `k0`, `k1`, ….
pub fn module<'a>(forms: impl Iterator<Item = &'a Form>) -> String {
    let mut text = HEADER.to_owned();
    for (k, form) in forms.enumerate() {
        text += &kernel(form, &format!("k{k}"));
    }
    text
}

/// What all threads read: operand by operand.
pub fn inputs(form: &Form) -> Vec<u64> {
    form.operands
        .iter()
        .enumerate()
        .flat_map(|(slot, kind)| (0..TUPLES).map(move |tuple| kind.value(slot, tuple)))
        .collect()
}

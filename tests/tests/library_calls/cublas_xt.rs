//! cuBLASXt: every product by its declaration, on matrices anywhere, and settings of handles. The numbers are whole, so that sums are exact in every type.

use gvirtus_wire::api::library::{CUBLAS, Function, Mode, Parameter, Size};

use crate::machine::{Machine, Memory, Place, at, at_mut, word};
use crate::numbers::{Kind, Number, ONE, ZERO, real};

const NOT_INITIALIZED: i32 = 1;
const INVALID_VALUE: i32 = 7;
const INTERNAL_ERROR: i32 = 14;
const NOT_SUPPORTED: i32 = 15;

/// Products of each function in a round.
const CASES: usize = 6;

pub(crate) fn round(machine: &Machine) {
    handles(machine);
    boards(machine);
    let handle = create(machine);
    let device = [0i32];
    assert_eq!(
        machine.call("cublasXtDeviceSelect", &[handle, 1, at(&device)]),
        0
    );
    for function in CUBLAS.iter().filter(|function| function.class == "on_host") {
        for case in 0..CASES {
            let block = machine.between(1, 40);
            machine.call("cublasXtSetBlockDim", &[handle, word(block)]);
            let mode = machine.between(0, 1);
            machine.call("cublasXtSetPinningMemMode", &[handle, word(mode)]);
            Call::random(machine, function, case == 0).check(machine, handle);
        }
        machine.holds(&[function.name]);
    }
    assert_eq!(machine.call("cublasXtDestroy", &[handle]), 0);
}

fn create(machine: &Machine) -> u64 {
    let mut handle = 0;
    assert_eq!(machine.call("cublasXtCreate", &[at_mut(&mut handle)]), 0);
    handle
}

/// Settings are each handle's own, and told back; what is refused changes nothing.
fn handles(machine: &Machine) {
    assert_eq!(machine.call("cublasXtCreate", &[0]), INVALID_VALUE);
    let first: Vec<u64> = (0..3).map(|_| create(machine)).collect();
    assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
    // Of each handle: tiles, pinning, whether a device is selected. Documented: 1024 are the largest tiles that are there without being set.
    let mut handles: Vec<(u64, i32, i32, bool)> =
        first.iter().map(|h| (*h, 1024, 0, false)).collect();
    let mut gone: Vec<u64> = vec![0, 77];
    for _ in 0..120 {
        let which = machine.next() as usize % handles.len();
        let nobody = machine.once_in(8).then(|| machine.one_of(&gone));
        let handle = nobody.unwrap_or(handles[which].0);
        let known = |status: i32| {
            if nobody.is_some() {
                INVALID_VALUE
            } else {
                status
            }
        };
        let state = &mut handles[which];
        match machine.between(0, 7) {
            0 => {
                let block = machine.one_of(&[-5, 0, 1, 2, 63, 64, 4096, i32::MAX]);
                let status = if block < 1 { INVALID_VALUE } else { 0 };
                let told = machine.call("cublasXtSetBlockDim", &[handle, word(block)]);
                assert_eq!(told, known(status), "tiles of {block}");
                if told == 0 {
                    state.1 = block;
                }
            }
            1 => {
                let mode = machine.between(-1, 2);
                let status = if (0..=1).contains(&mode) {
                    0
                } else {
                    INVALID_VALUE
                };
                let told = machine.call("cublasXtSetPinningMemMode", &[handle, word(mode)]);
                assert_eq!(told, known(status), "pinning {mode}");
                if told == 0 {
                    state.2 = mode as i32;
                }
            }
            2 => {
                for (getter, value) in [
                    ("cublasXtGetBlockDim", state.1),
                    ("cublasXtGetPinningMemMode", state.2),
                ] {
                    let mut out = -7;
                    let told = machine.call(getter, &[handle, at_mut(&mut out)]);
                    assert_eq!(told, known(0), "{getter}");
                    assert_eq!(out, if told == 0 { value } else { -7 }, "{getter}");
                    assert_eq!(
                        machine.call(getter, &[handle, 0]),
                        INVALID_VALUE,
                        "{getter}"
                    );
                }
            }
            3 | 4 => {
                let (operation, kind) = (machine.between(-1, 13), machine.between(-1, 4));
                let status = match (operation, kind) {
                    (0, 0..4) => 0,
                    (1..12, 0..4) => NOT_SUPPORTED,
                    _ => INVALID_VALUE,
                };
                let ratio: unsafe extern "C" fn(u64, i32, i32, f32) -> i32 =
                    machine.function("cublasXtSetCpuRatio");
                let part = machine.between(0, 100) as f32 / 100.0;
                let told = unsafe { ratio(handle, operation as i32, kind as i32, part) };
                assert_eq!(told, known(status), "the CPU's part of {operation}, {kind}");
                let routine = never as *const () as u64;
                let words = [handle, word(operation), word(kind), routine];
                let told = machine.call("cublasXtSetCpuRoutine", &words);
                assert_eq!(
                    told,
                    known(status),
                    "the CPU's routine of {operation}, {kind}"
                );
            }
            5 => {
                let devices = [machine.one_of(&[0, 0, 0, 1, -1, 9]), 0];
                let count = machine.between(-1, 1);
                // The second of the same device works as the first, as one.
                let status = match (count, state.3, devices[0]) {
                    (..=0, ..) | (_, true, _) => INVALID_VALUE,
                    (_, false, 0) => 0,
                    _ => INTERNAL_ERROR,
                };
                let words = [handle, word(count), at(&devices)];
                let told = machine.call("cublasXtDeviceSelect", &words);
                assert_eq!(
                    told,
                    known(status),
                    "{count} device(s), first of {devices:?}"
                );
                state.3 |= told == 0;
                let words = [handle, word(count), 0];
                assert_eq!(machine.call("cublasXtDeviceSelect", &words), INVALID_VALUE);
            }
            6 if handles.len() > 1 && nobody.is_none() => {
                assert_eq!(machine.call("cublasXtDestroy", &[handle]), 0);
                handles.swap_remove(which);
                gone.push(handle);
            }
            _ => {
                let nobody = machine.one_of(&gone);
                assert_eq!(machine.call("cublasXtDestroy", &[nobody]), INVALID_VALUE);
                let new = create(machine);
                assert!(handles.iter().all(|(handle, ..)| *handle != new));
                gone.retain(|old| *old != new);
                handles.push((new, 1024, 0, false));
            }
        }
    }
    for (handle, ..) in handles {
        assert_eq!(machine.call("cublasXtDestroy", &[handle]), 0);
    }
    machine.holds(&[
        "cublasXtCreate",
        "cublasXtDestroy",
        "cublasXtDeviceSelect",
        "cublasXtSetBlockDim",
        "cublasXtGetBlockDim",
        "cublasXtSetPinningMemMode",
        "cublasXtGetPinningMemMode",
        "cublasXtSetCpuRatio",
        "cublasXtSetCpuRoutine",
    ]);
}

/// The CPU does nothing of a product.
extern "C" fn never() {
    panic!("the program's routine is called");
}

/// The number of boards is added to what there is.
fn boards(machine: &Machine) {
    let mut most = 0;
    assert_eq!(machine.call("cublasXtMaxBoards", &[0]), INVALID_VALUE);
    assert_eq!(machine.call("cublasXtMaxBoards", &[at_mut(&mut most)]), 0);
    for _ in 0..8 {
        let (count, before) = (
            machine.between(1, 3) as usize,
            machine.between(-9, 9) as i32,
        );
        let mut devices = vec![0; count];
        let there = machine.once_in(2);
        if !there {
            devices[machine.next() as usize % count] = machine.one_of(&[-1, 5, 1 << 20]);
        }
        let mut boards = before;
        let words = [count as u64, at(&devices[0]), at_mut(&mut boards)];
        let told = machine.call("cublasXtGetNumBoards", &words);
        let expected = if there {
            (0, before + count as i32)
        } else {
            (INVALID_VALUE, before)
        };
        assert_eq!((told, boards), expected, "{devices:?}");
        assert!(count as i32 <= most);
        for nowhere in 1..=2 {
            let mut words = words;
            words[nowhere] = 0;
            assert_eq!(machine.call("cublasXtGetNumBoards", &words), INVALID_VALUE);
        }
    }
    machine.holds(&["cublasXtMaxBoards", "cublasXtGetNumBoards"]);
}

/// A matrix in its memory: columns, each `leading` elements after the one before.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    leading: usize,
    numbers: Vec<Number>,
}

impl Matrix {
    fn get(&self, i: usize, j: usize) -> Number {
        self.numbers[i + j * self.leading]
    }

    fn set(&mut self, i: usize, j: usize, value: Number) {
        self.numbers[i + j * self.leading] = value;
    }
}

/// 0 as it is, 1 transposed, 2 conjugate as well.
fn turned(of: &dyn Fn(usize, usize) -> Number, op: u64, i: usize, j: usize) -> Number {
    match op {
        0 => of(i, j),
        1 => of(j, i),
        _ => of(j, i).conj(),
    }
}

/// A call: sizes and enumerations by name, scalars, matrices, of which the last is the result.
struct Call {
    function: &'static Function,
    operation: &'static str,
    kind: Kind,
    numbers: Vec<(&'static str, u64)>,
    scalars: Vec<(&'static str, Kind, Number)>,
    matrices: Vec<(&'static str, Matrix)>,
    /// Of `trsm`.
    solution: Matrix,
    /// `trmm` may have its result where the matrix is.
    in_place: bool,
}

fn small(machine: &Machine, kind: Kind) -> Number {
    let part = || machine.between(-4, 4) as f64;
    Number {
        re: part(),
        im: if kind.complex { part() } else { 0.0 },
    }
}

impl Call {
    fn number(&self, name: &str) -> u64 {
        let found = self.numbers.iter().find(|(known, _)| *known == name);
        found.map_or(0, |(_, value)| *value)
    }

    fn size(&self, name: &str) -> usize {
        self.number(name) as usize
    }

    fn scalar(&self, name: &str) -> Option<Number> {
        let found = self.scalars.iter().find(|(known, ..)| *known == name);
        found.map(|(.., value)| *value)
    }

    fn matrix(&self, name: &str) -> &Matrix {
        let found = self.matrices.iter().find(|(known, _)| *known == name);
        &found.expect("the function has this matrix").1
    }

    /// A triangle of the result is written, whose diagonal is real.
    fn is_hermitian_rank(&self) -> bool {
        self.operation.starts_with("her")
    }

    /// With `empty`, sums have no terms.
    fn random(machine: &Machine, function: &'static Function, empty: bool) -> Self {
        let name = function.name.strip_prefix("cublasXt").expect("its prefix");
        let (letter, operation) = name.split_at(1);
        let kind = Kind::of_letter(letter);
        let mut call = Self {
            function,
            operation,
            kind,
            numbers: Vec::new(),
            scalars: Vec::new(),
            matrices: Vec::new(),
            solution: Matrix {
                rows: 0,
                columns: 0,
                leading: 0,
                numbers: Vec::new(),
            },
            in_place: operation == "trmm" && machine.once_in(3),
        };
        for parameter in function.parameters {
            let value = match parameter.name {
                "k" if empty => 0,
                "m" | "n" | "k" if machine.once_in(12) => 0,
                "m" | "n" | "k" => machine.between(1, 17),
                "trans" if operation.starts_with("tr") => machine.between(0, 2),
                // Hermitian matrices are conjugate where they are transposed, and complex ones that are symmetric are not.
                "trans" if call.is_hermitian_rank() => machine.one_of(&[0, 2]),
                "trans" => machine.between(0, if kind.complex { 1 } else { 2 }),
                "transa" | "transb" => machine.between(0, 2),
                "side" | "uplo" | "diag" => machine.between(0, 1),
                _ => continue,
            };
            call.numbers.push((parameter.name, word(value)));
        }
        for parameter in function.parameters {
            match parameter.mode {
                Mode::Scalar(Size::Fixed(size)) => {
                    let kind = if size < kind.size() {
                        kind.real()
                    } else {
                        kind
                    };
                    let value = if machine.once_in(6) {
                        ZERO
                    } else {
                        small(machine, kind)
                    };
                    call.scalars.push((parameter.name, kind, value));
                }
                Mode::Device => call.add_matrix(machine, parameter.name),
                _ => {}
            }
        }
        if operation == "trsm" {
            call.make_solvable(machine);
        }
        let nothing_added = call.scalar("alpha") == Some(ZERO) || call.size("k") == 0;
        if call.is_hermitian_rank() && nothing_added {
            // Whether imaginary parts of the diagonal are cleared if there is nothing to do, cuBLAS does not say.
            let (_, last) = call.matrices.last_mut().expect("matrices");
            for i in 0..last.rows {
                last.set(i, i, real(last.get(i, i).re));
            }
        }
        if call.scalar("beta") == Some(ZERO) && machine.once_in(2) {
            // What is multiplied by nothing is not read.
            let (_, last) = call.matrices.last_mut().expect("matrices");
            last.numbers.fill(real(f64::NAN));
        }
        call
    }

    fn add_matrix(&mut self, machine: &Machine, name: &'static str) {
        let (rows, columns) = self.shape(name);
        let leading = rows.max(1) + machine.between(0, 3) as usize;
        let count = leading * columns;
        let matrix = if self.in_place && name == "C" {
            self.matrix("B").clone()
        } else {
            Matrix {
                rows,
                columns,
                leading,
                numbers: (0..count).map(|_| small(machine, self.kind)).collect(),
            }
        };
        let leading = matrix.leading;
        self.matrices.push((name, matrix));
        let leading_name = match name {
            "A" => "lda",
            "B" => "ldb",
            "C" => "ldc",
            _ => return,
        };
        self.numbers.push((leading_name, leading as u64));
    }

    /// Rows and columns of a matrix as it lies in memory.
    fn shape(&self, matrix: &str) -> (usize, usize) {
        let (m, n, k) = (self.size("m"), self.size("n"), self.size("k"));
        let turned = |name: &str, (rows, columns): (usize, usize)| {
            if self.number(name) == 0 {
                (rows, columns)
            } else {
                (columns, rows)
            }
        };
        match (self.operation, matrix) {
            ("gemm", "A") => turned("transa", (m, k)),
            ("gemm", "B") => turned("transb", (k, n)),
            ("symm" | "hemm" | "trmm" | "trsm", "A") => (self.order(), self.order()),
            (_, "AP") => (self.order() * (self.order() + 1) / 2, 1),
            ("gemm" | "symm" | "hemm" | "spmm" | "trmm" | "trsm", _) => (m, n),
            (_, "C") => (n, n),
            _ => turned("trans", (n, k)),
        }
    }

    /// Rows of the matrix that multiplies from a side.
    fn order(&self) -> usize {
        self.size(if self.number("side") == 0 { "m" } else { "n" })
    }

    /// A diagonal that divides without a remainder, and a right side whose solution is whole.
    fn make_solvable(&mut self, machine: &Machine) {
        let i = Number { re: 0.0, im: 1.0 };
        let diagonal = [ONE, real(-1.0), real(2.0), i, i * real(-2.0)];
        let diagonal = &diagonal[..if self.kind.complex { 5 } else { 3 }];
        let mut alpha = machine.one_of(&diagonal[..3]);
        if self.kind.complex && machine.once_in(2) {
            alpha = alpha * i;
        }
        self.scalars[0].2 = alpha;
        let (_, a) = &mut self.matrices[0];
        for number in &mut a.numbers {
            // Few numbers beside the diagonal, so that sums stay small.
            if !machine.once_in(4) {
                *number = ZERO;
            }
        }
        for i in 0..a.rows {
            a.set(i, i, machine.one_of(diagonal));
        }
        let solution = self.matrices[1].1.clone();
        let product = self.by_side(&|i, j| solution.get(i, j));
        let (_, b) = &mut self.matrices[1];
        for j in 0..b.columns {
            for i in 0..b.rows {
                b.set(i, j, product.get(i, j) / alpha);
            }
        }
        self.solution = solution;
    }

    /// An element of the matrix of which a triangle is read.
    fn of_triangle(&self, i: usize, j: usize) -> Number {
        let lower = self.number("uplo") == 0;
        let inside = i == j || (i > j) == lower;
        let (row, column) = if inside { (i, j) } else { (j, i) };
        let stored = || match self.operation {
            "spmm" => {
                let triangle = self.matrix("AP");
                let before = if lower {
                    (0..column).map(|c| self.order() - c).sum::<usize>() + row - column
                } else {
                    column * (column + 1) / 2 + row
                };
                triangle.numbers[before]
            }
            _ => self.matrix("A").get(row, column),
        };
        match self.operation {
            "trmm" | "trsm" if !inside => ZERO,
            "trmm" | "trsm" if i == j && self.number("diag") == 1 => ONE,
            "hemm" if i == j => real(stored().re),
            "hemm" if !inside => stored().conj(),
            _ => stored(),
        }
    }

    /// The product of that matrix and another on its side.
    fn by_side(&self, other: &dyn Fn(usize, usize) -> Number) -> Matrix {
        let op = self.number("trans");
        let whole = |i, j| turned(&|i, j| self.of_triangle(i, j), op, i, j);
        let left = self.number("side") == 0;
        self.sums(self.order(), &|i, p, j| {
            if left {
                whole(i, p) * other(p, j)
            } else {
                other(i, p) * whole(p, j)
            }
        })
    }

    /// Sums for each element of the result.
    fn sums(&self, inner: usize, term: &dyn Fn(usize, usize, usize) -> Number) -> Matrix {
        let (rows, columns) = self.shape("C");
        let sum = |i, j| (0..inner).fold(ZERO, |sum, p| sum + term(i, p, j));
        let numbers = (0..rows * columns).map(|at| sum(at % rows, at / rows));
        Matrix {
            rows,
            columns,
            leading: rows,
            numbers: numbers.collect(),
        }
    }

    /// What the last matrix has to be afterwards.
    fn expected(&self) -> Matrix {
        let (alpha, beta) = (self.scalar("alpha").expect("a factor"), self.scalar("beta"));
        let (op, k) = (self.number("trans"), self.size("k"));
        let stored = |name: &'static str| move |i, j| self.matrix(name).get(i, j);
        let second = if self.operation.ends_with("rk") {
            "A"
        } else {
            "B"
        };
        let conj = |value: Number| {
            if self.is_hermitian_rank() {
                value.conj()
            } else {
                value
            }
        };
        // Of both as they are multiplied from the left.
        let pair = |x: &'static str, y: &'static str| {
            self.sums(k, &|i, p, j| {
                turned(&stored(x), op, i, p) * conj(turned(&stored(y), op, j, p))
            })
        };
        let product = match self.operation {
            "gemm" => self.sums(k, &|i, p, j| {
                turned(&stored("A"), self.number("transa"), i, p)
                    * turned(&stored("B"), self.number("transb"), p, j)
            }),
            "symm" | "hemm" | "spmm" | "trmm" => self.by_side(&stored("B")),
            "trsm" => return self.solved(),
            _ => pair("A", second),
        };
        let of_triangle = !matches!(self.operation, "gemm" | "symm" | "hemm" | "spmm" | "trmm");
        let other = self.operation.ends_with("r2k").then(|| pair("B", "A"));
        let lower = self.number("uplo") == 0;
        let (_, last) = self.matrices.last().expect("a result");
        let mut result = last.clone();
        for j in 0..last.columns {
            for i in 0..last.rows {
                if of_triangle && i != j && (i > j) != lower {
                    continue;
                }
                let mut value = alpha * product.get(i, j);
                if let Some(other) = &other {
                    value += conj(alpha) * other.get(i, j);
                }
                if let Some(beta) = beta.filter(|beta| *beta != ZERO) {
                    value += beta * last.get(i, j);
                }
                if self.is_hermitian_rank() && i == j {
                    value.im = 0.0;
                }
                result.set(i, j, value);
            }
        }
        result
    }

    /// The right side with the solution in it.
    fn solved(&self) -> Matrix {
        let mut result = self.matrix("B").clone();
        for j in 0..result.columns {
            for i in 0..result.rows {
                result.set(i, j, self.solution.get(i, j));
            }
        }
        result
    }

    /// The call's words, of a handle, with matrices at these addresses and some numbers otherwise.
    fn words(
        &self,
        handle: u64,
        scalars: &[Vec<u8>],
        addresses: &[u64],
        change: &[(&str, u64)],
    ) -> Vec<u64> {
        let (mut scalars, mut addresses) = (scalars.iter(), addresses.iter());
        let word = |parameter: &Parameter| match parameter.mode {
            Mode::Handle => handle,
            Mode::Scalar(_) => scalars.next().expect("a scalar").as_ptr() as u64,
            Mode::Device => *addresses.next().expect("a matrix"),
            _ => {
                let changed = change.iter().find(|(name, _)| *name == parameter.name);
                changed.map_or(self.number(parameter.name), |(_, value)| *value)
            }
        };
        self.function.parameters.iter().map(word).collect()
    }

    fn check(&self, machine: &Machine, handle: u64) {
        let scalars = self
            .scalars
            .iter()
            .map(|(_, kind, value)| kind.bytes(&[*value]));
        let scalars: Vec<Vec<u8>> = scalars.collect();
        let kept = self.matrices.len() - usize::from(self.in_place);
        let place = |name: &str| match name {
            // cuBLAS wants it there.
            "AP" => machine.one_of(&[Place::Host, Place::Pinned]),
            _ => machine.one_of(&Place::ALL),
        };
        let mut memory: Vec<Memory<'_>> = self.matrices[..kept]
            .iter()
            .map(|(name, m)| machine.memory(place(name), &self.kind.bytes(&m.numbers)))
            .collect();
        let mut addresses: Vec<u64> = memory.iter().map(|memory| memory.address).collect();
        if self.in_place {
            addresses.push(addresses[1]);
        }
        let places: Vec<Place> = memory.iter().map(|memory| memory.place).collect();
        let what = format!(
            "{} {:?} {:?} {places:?}",
            self.function.name, self.numbers, self.scalars
        );

        self.check_refusals(machine, handle, &scalars, &addresses, &what);
        let unchanged = |memory: &[Memory<'_>]| {
            let mut both = memory.iter().zip(&self.matrices);
            both.all(|(memory, (_, matrix))| self.difference(memory, matrix).is_none())
        };
        assert!(
            unchanged(&memory),
            "{what}: what is refused changes nothing"
        );

        let words = self.words(handle, &scalars, &addresses, &[]);
        assert_eq!(machine.call(self.function.name, &words), 0, "{what}");
        let result = memory.pop().expect("a result");
        assert!(unchanged(&memory), "{what}: what is only read stays");
        let expected = self.expected();
        assert_eq!(
            self.difference(&result, &expected),
            None,
            "{what}: the result"
        );
    }

    /// The first element that is not the matrix's: its place, what there is, and what there should be.
    fn difference(&self, memory: &Memory<'_>, matrix: &Matrix) -> Option<(usize, Number, Number)> {
        let there = self.kind.numbers(&memory.read());
        assert_eq!(there.len(), matrix.numbers.len());
        let mut both = there
            .into_iter()
            .zip(matrix.numbers.iter().copied())
            .enumerate();
        let (at, (there, expected)) = both.find(|(_, (a, b))| !a.same(*b))?;
        Some((at, there, expected))
    }

    /// Handles that there are not or that have no device, enumerations beyond their last value, leading dimensions below the rows.
    fn check_refusals(
        &self,
        machine: &Machine,
        handle: u64,
        scalars: &[Vec<u8>],
        addresses: &[u64],
        what: &str,
    ) {
        if ["m", "n", "k"]
            .iter()
            .any(|name| self.numbers.contains(&(name, 0)))
        {
            return;
        }
        let refused = |handle, change: &[(&str, u64)], status| {
            let words = self.words(handle, scalars, addresses, change);
            let told = machine.call(self.function.name, &words);
            assert_eq!(told, status, "{what} with {change:?} of {handle:#x}");
        };
        refused(
            machine.one_of(&[0, 5, handle + 1_000_000]),
            &[],
            NOT_INITIALIZED,
        );
        let without_device = create(machine);
        refused(without_device, &[], NOT_INITIALIZED);
        assert_eq!(machine.call("cublasXtDestroy", &[without_device]), 0);
        for (name, _) in &self.numbers {
            let wrong = match *name {
                "transa" | "transb" | "trans" | "side" | "uplo" | "diag" => {
                    machine.one_of(&[-1, 4, 9, i64::from(i32::MAX)])
                }
                "lda" | "ldb" | "ldc" => {
                    let letter = name[2..].to_uppercase();
                    machine.between(0, self.matrix(&letter).rows as i64 - 1)
                }
                _ => continue,
            };
            refused(handle, &[(name, word(wrong))], INVALID_VALUE);
        }
    }
}

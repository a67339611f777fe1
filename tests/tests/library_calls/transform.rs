//! Fourier transforms as the sums that they are, of data spread over memory in any way.

use crate::machine::{Machine, Memory, Place};
use crate::numbers::{Kind, Number, ZERO, real};

/// What is transformed into what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Complex numbers, with the sign of the exponent.
    Complex(i32),
    /// Real numbers into half of their spectrum.
    Forward,
    /// Half a spectrum into real numbers.
    Backward,
}

/// How one side lies in memory, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spread {
    /// Extents of the array that the data are part of.
    pub(crate) embed: Vec<usize>,
    /// Between neighbours in the last dimension.
    pub(crate) stride: usize,
    /// Between transforms.
    pub(crate) distance: usize,
}

impl Spread {
    pub(crate) fn packed(extents: &[usize]) -> Self {
        Self {
            embed: extents.to_vec(),
            stride: 1,
            distance: extents.iter().product(),
        }
    }

    /// With room between elements, rows and transforms; or the transforms' elements by turns.
    fn random(machine: &Machine, extents: &[usize], batch: usize) -> Self {
        let wider = |n: &usize| n + machine.one_of(&[0, 0, 1, 3]);
        let embed: Vec<usize> = extents.iter().map(wider).collect();
        let whole: usize = embed.iter().product();
        if machine.once_in(3) {
            return Self {
                embed,
                stride: batch + machine.one_of(&[0, 2]),
                distance: 1,
            };
        }
        let stride = machine.one_of(&[1, 1, 2, 3]);
        Self {
            distance: whole * stride + machine.one_of(&[0, 5]),
            embed,
            stride,
        }
    }

    /// Places of the elements of all transforms, in order.
    fn places(&self, extents: &[usize], batch: usize) -> Vec<usize> {
        let count: usize = extents.iter().product();
        let place = |i: usize| {
            let (mut rest, mut at, mut step) = (i % count, i / count * self.distance, self.stride);
            for (extent, embed) in extents.iter().zip(&self.embed).rev() {
                at += rest % extent * step;
                rest /= extent;
                step *= embed;
            }
            at
        };
        (0..count * batch).map(place).collect()
    }
}

/// Transforms of one plan.
#[derive(Debug, Clone)]
pub(crate) struct Transform {
    pub(crate) way: Way,
    pub(crate) double: bool,
    pub(crate) n: Vec<usize>,
    pub(crate) batch: usize,
    pub(crate) input: Spread,
    pub(crate) output: Spread,
    pub(crate) in_place: bool,
}

/// The data of a transform.
pub(crate) struct Data<'a> {
    input: Memory<'a>,
    output: Option<Memory<'a>>,
    /// What they hold at first.
    source: Vec<u8>,
    untouched: Vec<u8>,
    target: Vec<Number>,
    expected: Vec<Number>,
}

impl Data<'_> {
    /// Where input and output are.
    pub(crate) fn addresses(&self) -> [u64; 2] {
        [self.input.address, self.output().address]
    }

    /// Nobody has transformed anything.
    pub(crate) fn is_untouched(&self, what: &str) {
        assert!(self.input.read() == self.source, "{what}: the input stays");
        if let Some(output) = &self.output {
            assert!(output.read() == self.untouched, "{what}: the output stays");
        }
    }

    fn output(&self) -> &Memory<'_> {
        self.output.as_ref().unwrap_or(&self.input)
    }
}

impl Transform {
    /// Of so many dimensions, without gaps.
    pub(crate) fn random(machine: &Machine, rank: usize, way: Way, double: bool) -> Self {
        let most = [40, 9, 6][rank - 1];
        let n: Vec<usize> = (0..rank)
            .map(|_| machine.between(1, most) as usize)
            .collect();
        let mut transform = Self {
            way,
            double,
            n,
            batch: 1,
            input: Spread::packed(&[]),
            output: Spread::packed(&[]),
            in_place: machine.once_in(3),
        };
        transform.pack();
        transform
    }

    /// Takes the gaps away, but in place those that make room for half a spectrum.
    pub(crate) fn pack(&mut self) {
        let [mut input, mut output] = self.extents();
        let half = self.half();
        let padded = |extents: &mut Vec<usize>| {
            if let (true, Some(last)) = (self.in_place, extents.last_mut()) {
                *last = half * 2;
            }
        };
        match self.way {
            Way::Complex(_) => {}
            Way::Forward => padded(&mut input),
            Way::Backward => padded(&mut output),
        }
        (self.input, self.output) = (Spread::packed(&input), Spread::packed(&output));
    }

    /// Spreads the data over memory, in place as on one side.
    pub(crate) fn spread(&mut self, machine: &Machine) {
        let [input, output] = self.extents();
        if self.way != Way::Complex(-1) && self.way != Way::Complex(1) {
            self.in_place = false;
        }
        self.input = Spread::random(machine, &input, self.batch);
        self.output = if self.in_place {
            self.input.clone()
        } else {
            Spread::random(machine, &output, self.batch)
        };
    }

    fn half(&self) -> usize {
        self.n.last().map_or(0, |last| last / 2 + 1)
    }

    /// Extents of input and output.
    pub(crate) fn extents(&self) -> [Vec<usize>; 2] {
        let mut half = self.n.clone();
        if let Some(last) = half.last_mut() {
            *last = self.half();
        }
        match self.way {
            Way::Complex(_) => [self.n.clone(), self.n.clone()],
            Way::Forward => [self.n.clone(), half],
            Way::Backward => [half, self.n.clone()],
        }
    }

    /// How elements of input and output lie in memory.
    pub(crate) fn kinds(&self) -> [Kind; 2] {
        let complex = Kind {
            double: self.double,
            complex: true,
        };
        match self.way {
            Way::Complex(_) => [complex; 2],
            Way::Forward => [complex.real(), complex],
            Way::Backward => [complex, complex.real()],
        }
    }

    fn places(&self) -> [Vec<usize>; 2] {
        let [input, output] = self.extents();
        [
            self.input.places(&input, self.batch),
            self.output.places(&output, self.batch),
        ]
    }

    /// Random data, on these places, and what has to come of them.
    pub(crate) fn data<'a>(&self, machine: &'a Machine, places: [Place; 2]) -> Data<'a> {
        let count: usize = self.n.iter().product();
        let (mut input, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..self.batch {
            let part = || machine.between(-9, 9) as f64;
            let numbers: Vec<Number> = (0..count)
                .map(|_| match self.way {
                    Way::Complex(_) => Number {
                        re: part(),
                        im: part(),
                    },
                    _ => real(part()),
                })
                .collect();
            match self.way {
                Way::Complex(sign) => {
                    expected.extend(sums(&self.n, &numbers, sign));
                    input.extend(numbers);
                }
                Way::Forward => {
                    expected.extend(self.first_half(&sums(&self.n, &numbers, -1)));
                    input.extend(numbers);
                }
                Way::Backward => {
                    input.extend(self.first_half(&sums(&self.n, &numbers, -1)));
                    expected.extend(numbers.iter().map(|x| *x * real(count as f64)));
                }
            }
        }
        let ([from, to], [read, written]) = (self.kinds(), self.places());
        // What lies between and behind the data.
        let noise = |kind: Kind, places: &[usize]| {
            let count = places.iter().max().map_or(0, |last| last + 1) + 2;
            let part = || machine.between(-9, 9) as f64;
            let number = |_| Number {
                re: part(),
                im: if kind.complex { part() } else { 0.0 },
            };
            (0..count).map(number).collect::<Vec<Number>>()
        };
        let mut source = noise(from, &read);
        for (place, value) in read.iter().zip(&input) {
            source[*place] = *value;
        }
        let mut bytes = from.bytes(&source);
        let mut target = noise(to, &written);
        if self.in_place {
            // As long as both sides need.
            bytes.resize(bytes.len().max(target.len() * to.size()), 0);
            target = to.numbers(&bytes);
        }
        let untouched = to.bytes(&target);
        Data {
            input: machine.memory(places[0], &bytes),
            output: (!self.in_place).then(|| machine.memory(places[1], &untouched)),
            source: bytes,
            untouched,
            target,
            expected,
        }
    }

    /// Whether the data have been transformed, and nothing else has changed.
    pub(crate) fn check(&self, data: &Data<'_>, what: &str) {
        let ([_, to], [_, written]) = (self.kinds(), self.places());
        let there = to.numbers(&data.output().read());
        let largest = data.expected.iter().map(|x| x.distance(ZERO));
        let largest = largest.fold(1.0, f64::max);
        let near = largest * if self.double { 1e-12 } else { 1e-5 };
        let mut beside = vec![true; there.len()];
        for (place, expected) in written.iter().zip(&data.expected) {
            beside[*place] = false;
            assert!(
                there[*place].distance(*expected) <= near,
                "{what}: {:?} at {place}, not {expected:?}",
                there[*place]
            );
        }
        if self.in_place && self.way == Way::Backward {
            // What made room for half a spectrum is anything.
            return;
        }
        for place in (0..there.len()).filter(|place| beside[*place]) {
            assert_eq!(
                there[place], data.target[place],
                "{what}: beside the result"
            );
        }
        if !self.in_place && self.way != Way::Backward {
            assert!(data.input.read() == data.source, "{what}: the input stays");
        }
    }

    /// What there is of a spectrum of real numbers.
    fn first_half(&self, spectrum: &[Number]) -> Vec<Number> {
        let last = self.n.last().copied().unwrap_or(1);
        let rows = spectrum.chunks(last);
        rows.flat_map(|row| row[..self.half()].to_vec()).collect()
    }
}

/// The transform, dimension by dimension.
fn sums(extents: &[usize], numbers: &[Number], sign: i32) -> Vec<Number> {
    let mut numbers = numbers.to_vec();
    let mut step = numbers.len();
    for &n in extents {
        step /= n;
        let before = numbers.clone();
        for (i, number) in numbers.iter_mut().enumerate() {
            let (k, first) = (i / step % n, i - i / step % n * step);
            *number = (0..n).fold(ZERO, |sum, x| {
                let turn = f64::from(sign) * ((k * x) % n) as f64 / n as f64;
                sum + before[first + x * step] * Number::turn(turn)
            });
        }
    }
    numbers
}

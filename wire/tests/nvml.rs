//! Arguments and results of every NVML function survive the way, and nothing that an end sends is believed.

#[path = "../../tests/property/record.rs"]
mod property;

use gvirtus_wire::api::nvml_call::*;

/// A small generator of numbers, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.next() >> 32) as u8).collect()
    }
}

fn inputs(function: &Function, numbers: &mut Numbers) -> Vec<Input> {
    let capacity = numbers.next() % u64::from(function.most().min(20) + 1);
    let input = |mode| match mode {
        Mode::Handle(_) => Input::Handle(numbers.next() as u32),
        Mode::OutHandle(_) | Mode::Out(_) | Mode::Text => Input::None,
        Mode::U32 => Input::Number(u64::from(numbers.next() as u32)),
        Mode::U64 => Input::Number(numbers.next()),
        Mode::Size | Mode::Count => Input::Number(capacity),
        Mode::Optional(_) | Mode::Array(_) | Mode::Processes(_) | Mode::Handles(_) => {
            Input::Wanted(!numbers.next().is_multiple_of(4))
        }
        Mode::InOut(n) => Input::Bytes(numbers.bytes(n)),
        Mode::Values(n) => Input::Bytes(numbers.bytes(n * capacity as usize)),
        Mode::Versioned(words) => {
            let word = words[numbers.next() as usize % words.len()];
            let mut bytes = numbers.bytes(structure_size(word));
            bytes[..4].copy_from_slice(&word.to_le_bytes());
            Input::Bytes(bytes)
        }
        Mode::Name => Input::Bytes(b"0000:01:00.0".to_vec()),
    };
    function
        .parameters
        .iter()
        .map(|p| p.mode)
        .map(input)
        .collect()
}

fn outputs(
    function: &Function,
    inputs: &[Input],
    result: i32,
    numbers: &mut Numbers,
) -> Vec<Output> {
    let capacity = function.capacity(inputs);
    let parameters = function.parameters.iter().zip(inputs);
    let output = |(parameter, input): (&Parameter, &Input)| {
        if !returns(parameter.mode, input, result) {
            return Output::None;
        }
        let few = numbers.next() as usize % (capacity + 1);
        match (parameter.mode, input) {
            (Mode::OutHandle(_), _) => Output::Handle(numbers.next() as u32),
            (Mode::Count, _) => Output::Count(numbers.next() as u32),
            (Mode::Handles(_), _) => {
                Output::Handles((0..few).map(|_| numbers.next() as u32).collect())
            }
            (Mode::Array(n) | Mode::Processes(n), _) => Output::Bytes(numbers.bytes(n * few)),
            (Mode::Text, _) => Output::Bytes(vec![
                b'x';
                few.saturating_sub(1)
                    .min(capacity.saturating_sub(1))
            ]),
            (_, Input::Bytes(sent)) => Output::Bytes(numbers.bytes(sent.len())),
            (Mode::Out(n) | Mode::Optional(n), _) => Output::Bytes(numbers.bytes(n)),
            (mode, _) => panic!("{mode:?} returns nothing"),
        }
    };
    parameters.map(output).collect()
}

#[test]
fn every_function_s_arguments_and_results_survive() {
    let mut numbers = Numbers(0x5eed);
    let mut checked = Vec::new();
    for function in FUNCTIONS.iter().filter(|f| f.class == "sync") {
        for _ in 0..20 {
            let sent = inputs(function, &mut numbers);
            assert_eq!(
                decode_inputs(function, &encode_inputs(&sent)).as_ref(),
                Ok(&sent),
                "{}",
                function.name
            );
            for result in [SUCCESS, ERROR_INSUFFICIENT_SIZE, ERROR_UNKNOWN] {
                let text = function.parameters.iter().any(|p| p.mode == Mode::Text);
                if text && function.capacity(&sent) == 0 {
                    // Not even the NUL has room.
                    continue;
                }
                let back = outputs(function, &sent, result, &mut numbers);
                let decoded = decode_outputs(function, &sent, result, &encode_outputs(&back));
                assert_eq!(decoded.as_ref(), Ok(&back), "{}", function.name);
            }
        }
        checked.push(function.name);
    }
    assert!(
        checked.len() > 100,
        "{} functions are forwarded",
        checked.len()
    );
    property::record("nvml", checked);
}

#[test]
fn spoiled_arguments_and_results_never_panic() {
    let mut numbers = Numbers(0xbad5eed);
    let mut refused = 0;
    for function in FUNCTIONS
        .iter()
        .filter(|f| f.class == "sync" && !f.parameters.is_empty())
    {
        for _ in 0..50 {
            let sent = inputs(function, &mut numbers);
            let mut bytes = encode_inputs(&sent);
            match numbers.next() % 3 {
                0 => bytes.truncate(numbers.next() as usize % (bytes.len() + 1)),
                1 => bytes.push(0),
                _ => {
                    for _ in 0..4 {
                        let at = numbers.next() as usize % bytes.len().max(1);
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = numbers.next() as u8;
                        }
                    }
                }
            }
            refused += u32::from(decode_inputs(function, &bytes).is_err());
            let length = numbers.next() as usize % 80;
            let noise = numbers.bytes(length);
            refused += u32::from(decode_outputs(function, &sent, SUCCESS, &noise).is_err());
        }
    }
    assert!(refused > 5000, "{refused}");
}

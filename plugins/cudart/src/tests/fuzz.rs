//! Whatever a client sends, the worker lives.

use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Numbers that look like ids, sizes and addresses, and some that look like nothing.
fn number(random: &mut Random, client: &Client) -> u64 {
    match random.below(8) {
        0 => random.below(4),
        1 => client.device + random.below(GRANT),
        2 => client.pinned + random.below(1 << 20),
        3 => random.below(1 << 16) & !0xfff,
        4 => random.next(),
        5 => u64::MAX - random.below(3),
        6 => 2 << 20,
        _ => random.below(300),
    }
}

#[test]
fn random_commands_do_no_harm() {
    super::alone::in_a_child("tests::fuzz::random_commands");
}

#[test]
#[ignore = "started by `random_commands_do_no_harm`: other sessions of the process would suffer"]
fn random_commands() {
    let client = Client::new();
    client.load(1, super::kernels::PTX).unwrap();
    let seed = std::env::var("GVIRTUS_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0x1234_5678_9abc_def1);
    let mut random = Random(seed);
    // What waits for the client by design would wait for ever: nobody answers host calls here.
    let skipped = [
        HostFunction::OPCODE,
        ContextReset::OPCODE,
        ReserveHostRange::OPCODE,
    ];
    for n in 0..6000 {
        let command = COMMANDS[random.below(COMMANDS.len() as u64) as usize];
        if skipped.contains(&command.opcode) {
            continue;
        }
        // Payloads of the right length decode: fields are numbers of every width in a row.
        let mut payload = Vec::new();
        for _ in 0..40 {
            if gvirtus_wire::api::core::reencode(command.opcode, &payload).is_ok()
                && random.below(4) != 0
            {
                break;
            }
            match random.below(3) {
                0 => payload.push(random.below(8) as u8),
                1 => payload.extend((number(&mut random, &client) as u32).to_le_bytes()),
                _ => payload.extend(number(&mut random, &client).to_le_bytes()),
            }
        }
        let decodes = gvirtus_wire::api::core::reencode(command.opcode, &payload).is_ok();
        // A word that nobody writes would be waited for as long.
        if decodes
            && command.opcode == StreamMemoryOperations::OPCODE
            && decode_all::<StreamMemoryOperations>(&payload)
                .is_ok_and(|c| c.operations.iter().any(|o| matches!(o.operation, 1 | 4)))
        {
            continue;
        }
        if decodes && command.opcode == Copy::OPCODE && payload[0] == COPY_FROM_PULL {
            continue;
        }
        let bulk = pattern(random.below(200) as usize, n);
        let header = Header {
            len: payload.len() as u32,
            opcode: command.opcode,
            flags: random.below(2) as u16,
            sequence: 1_000_000 + n,
            thread: 1,
            context: if random.below(10) == 0 {
                random.next() as u32
            } else {
                0
            },
            bulk: bulk.len() as u64,
            trace: 0,
        };
        if std::env::var_os("GVIRTUS_TEST_LOG").is_some() {
            eprintln!("{n} {} {header:?} {payload:?}", command.name);
        }
        client.frame(header, payload, bulk);
        if random.below(16) == 0 {
            client.idle();
        }
    }
    // The session still works, unless a random capture has taken hold of things: then a new one does.
    let mut client = Client::new();
    client
        .call(ContextCreate {
            context: 300,
            device: 0,
            flags: 0,
        })
        .unwrap();
    client.context = 300;
    client.write(client.device, b"still here");
    assert_eq!(client.read(client.device, 10), b"still here");
}

#[test]
fn random_launches_do_no_harm() {
    super::alone::in_a_child("tests::fuzz::random_launches");
}

#[test]
#[ignore = "started by `random_launches_do_no_harm`"]
fn random_launches() {
    use super::kernels::{PTX, add, function};
    use sha2::{Digest, Sha256};

    let client = Client::new();
    let info = client.load(1, PTX).unwrap();
    let kernel = function(&info, "add").function;
    for event in 1..3 {
        client.cast(EventCreate { event, flags: 2 });
    }
    let mut random = Random(0xfeed_5678_9abc_def1);
    for n in 0..1500u32 {
        let attributes = |random: &mut Random| {
            (0..random.below(3))
                .map(|_| {
                    let mut bytes = [0; 64];
                    for byte in bytes.chunks_mut(4).take(random.below(16) as usize) {
                        byte[0] = random.below(4) as u8;
                    }
                    if random.below(4) == 0 {
                        bytes.copy_from_slice(&pattern(64, random.next()));
                    }
                    (random.below(20) as u32, bytes)
                })
                .collect::<Vec<_>>()
        };
        if random.below(3) == 0 {
            let _ = client.call(Occupancy {
                query: random.below(5) as u32,
                function: kernel + random.below(2) as u32 * 7,
                grid: [random.below(9) as u32; 3],
                block: [random.below(2000) as u32, 1, random.below(3) as u32],
                shared: random.below(100_000),
                blocks: random.below(40) as u32,
                flags: random.below(3) as u32,
                attributes: attributes(&mut random),
            });
            continue;
        }
        if random.below(20) == 0 {
            let _ = client.call_bulk(
                ModuleLoad {
                    module: 100 + n,
                    hash: Sha256::digest(PTX.as_bytes()).into(),
                    options: (0..random.below(4))
                        .map(|_| (random.below(40) as u32, random.below(12)))
                        .collect(),
                    known: random.below(2) * random.below(1000),
                },
                PTX.as_bytes().to_vec(),
            );
            continue;
        }
        let mut launch = add(kernel, 0, client.device, 1, 64);
        launch.attributes = attributes(&mut random);
        match random.below(6) {
            0 => launch.grid = [random.below(70_000) as u32, random.below(3) as u32, 1],
            1 => launch.block = [1, random.below(1100) as u32, random.below(70) as u32],
            2 => launch.shared = random.next() as u32,
            3 => launch.params.truncate(random.below(17) as usize),
            4 => launch.function = 10 + random.below(400) as u32,
            _ => {}
        }
        if std::env::var_os("GVIRTUS_TEST_LOG").is_some() {
            eprintln!("{launch:?}");
        }
        let _ = client.call(launch);
    }
}

//! Descriptors: made, and ended.

use gvirtus_cudnn_core::descriptor::find;

use super::*;

/// Equal descriptors are told to the box once, by the call that made them and with what that was given; nobody waits.
#[test]
fn a_new_descriptor_arrives_as_it_was_made() {
    begun();
    for (kind, (maker, _)) in makers() {
        let operations = if takes_operation(maker) { 0..7 } else { 0..1 };
        for operation in operations {
            let first = find(make(kind, operation), kind).unwrap();
            let number = first.content().unwrap().number;
            let sent = sent();
            let [define] = sent.as_slice() else {
                panic!("{kind} {operation}: {sent:?}");
            };
            assert_eq!((define.command, define.wait), (command::DEFINE, false));
            let define: LibraryDefine = define.decoded();
            let [step] = define.steps.as_slice() else {
                panic!("{kind}: {define:?}");
            };
            assert_eq!((define.object, step.function), (number, maker.id()));
            let words: Vec<u8> = [0, operation as u64]
                .iter()
                .take(maker.parameters.len())
                .flat_map(|word| word.to_le_bytes())
                .collect();
            assert_eq!(step.words.as_slice(), words, "{kind}");
            alone(kind, || {
                let second = find(make(kind, operation), kind).unwrap();
                assert_eq!(second.content().unwrap().number, number);
            });
        }
    }
}

/// What a program does to descriptors.
#[derive(Debug, Clone)]
enum Step {
    Make(prop::sample::Index, i32),
    MakeNowhere(prop::sample::Index, i32),
    /// One of those that were ever made, by the function of a type.
    End(prop::sample::Index, Option<prop::sample::Index>),
    EndNothing(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), -2..9).prop_map(|(kind, operation)| Step::Make(kind, operation)),
        1 => (index(), -2..9).prop_map(|(kind, operation)| Step::MakeNowhere(kind, operation)),
        3 => (index(), prop::option::of(index())).prop_map(|(which, by)| Step::End(which, by)),
        1 => index().prop_map(Step::EndNothing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn descriptors_live_from_create_to_destroy(steps in vec(step(), 1..60)) {
        begun();
        let makers: Vec<_> = makers().into_iter().collect();
        // Number, type, operation, and whether it is there.
        let mut all: Vec<(u64, &str, i32, bool)> = Vec::new();
        alone("descriptors", || -> Result<(), TestCaseError> {
            for step in steps {
                match step {
                    Step::Make(which, operation) | Step::MakeNowhere(which, operation) => {
                        let (kind, (maker, _)) = *which.get(&makers);
                        let mut made = 7u64;
                        let nowhere = matches!(step, Step::MakeNowhere(..));
                        let out = if nowhere { 0 } else { address(&mut made) as u64 };
                        let words = [out, i64::from(operation).cast_unsigned()];
                        let status = unsafe { create(maker, &words[..maker.parameters.len()]) };
                        let unknown = takes_operation(maker) && !(0..7).contains(&operation);
                        if nowhere || unknown {
                            prop_assert_eq!((status, made), (BAD_PARAM, 7), "{}", maker.name);
                            continue;
                        }
                        prop_assert_eq!(status, SUCCESS, "{}", maker.name);
                        prop_assert!(made != 0 && all.iter().all(|(other, ..)| *other != made));
                        all.push((made, kind, operation, true));
                    }
                    Step::End(_, _) if all.is_empty() => {}
                    Step::End(which, by) => {
                        let one = which.index(all.len());
                        let (descriptor, kind, _, there) = all[one];
                        let by = by.map_or(kind, |by| by.get(&makers).0);
                        let (_, end) = super::makers()[by];
                        let status = unsafe { destroy(end, &[descriptor]) };
                        let right = there && by == kind;
                        prop_assert_eq!(status, if right { SUCCESS } else { BAD_PARAM }, "{}", end.name);
                        all[one].3 = there && !right;
                    }
                    Step::EndNothing(which) => {
                        let (_, end) = which.get(&makers).1;
                        prop_assert_eq!(unsafe { destroy(end, &[0]) }, SUCCESS);
                    }
                }
                for (descriptor, kind, operation, there) in &all {
                    for (other, (maker, _)) in &makers {
                        let found = find(*descriptor, other).ok();
                        prop_assert_eq!(found.is_some(), *there && kind == other);
                        if let Some(found) = found {
                            let made_by = takes_operation(maker).then_some(*operation);
                            prop_assert_eq!(found.made_by, made_by);
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
}

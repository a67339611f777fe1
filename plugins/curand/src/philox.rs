//! Philox4x32-10: Salmon and others' counter-based generator ("Parallel random numbers: as easy as 1, 2, 3", 2011).

/// Four numbers by their counter: the block of a subsequence.
pub(crate) fn block(seed: u64, subsequence: u64, block: u64) -> [u32; 4] {
    let mut counter = [
        block as u32,
        (block >> 32) as u32,
        subsequence as u32,
        (subsequence >> 32) as u32,
    ];
    let (mut low, mut high) = (seed as u32, (seed >> 32) as u32);
    for _ in 0..10 {
        let [a, b, c, d] = counter;
        let p = u64::from(a) * 0xd251_1f53;
        let q = u64::from(c) * 0xcd9e_8d57;
        counter = [
            (q >> 32) as u32 ^ b ^ low,
            q as u32,
            (p >> 32) as u32 ^ d ^ high,
            p as u32,
        ];
        low = low.wrapping_add(0x9e37_79b9);
        high = high.wrapping_add(0xbb67_ae85);
    }
    counter
}

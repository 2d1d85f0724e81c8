// SPDX-License-Identifier: GPL-2.0
//! A short run of what is fuzzed, with octets from fixed seeds: the same every time.

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        let words = (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        words.take(length).collect()
    }
}

#[test]
fn messages() {
    let mut random = Random(1);
    for _ in 0..100_000 {
        let length = usize::try_from(random.next() % 520).unwrap();
        let mut octets = random.octets(length);
        // Most random heads are refused at once: one that is not, and a length that fits.
        if length > 12 && random.next() % 4 != 0 {
            octets[0] %= 11;
            octets[1] &= 0xfc;
            if octets[1] & 4 != 0 {
                octets[4..8].copy_from_slice(match random.next() % 3 {
                    0 => &[1, 0, 0, 104],
                    1 => &[2, 0, 0, 200],
                    _ => &[3, 0, 0, 12],
                });
                let rest = [104, 200, 12][usize::from(octets[4]) - 1] + 8;
                octets.truncate(rest + octets.len().saturating_sub(rest) / 16 * 16);
            } else {
                octets.truncate(4 + (length - 4) / 16 * 16);
            }
        }
        ihmp_fuzz::message(&octets);
    }
}

/// Several tests, so that they run side by side.
fn engines(seeds: std::ops::Range<u64>) {
    // SEED=N runs one of them only, IHMP_TRACE=1 shows what goes on.
    let only = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    for seed in seeds.filter(|seed| only.is_none_or(|only: u64| only == *seed)) {
        println!("seed {seed}");
        let mut random = Random(seed);
        let length = 50 + usize::try_from(random.next() % 1_500).unwrap();
        ihmp_fuzz::engine(&random.octets(length));
    }
}

#[test]
fn engines_1() {
    engines(0..100);
}

#[test]
fn engines_2() {
    engines(100..200);
}

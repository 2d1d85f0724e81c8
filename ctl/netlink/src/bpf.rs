// SPDX-License-Identifier: GPL-2.0
//! Programs of the classic BPF, which the kernel runs for each message that a socket would receive.
//!
//! A program has two registers, A and X, and a few words of memory. What it reads of a message it reads in network byte order.
//!
//! C headers: linux/bpf_common.h, linux/filter.h

use std::{
    io,
    os::fd::AsFd, //
};

use socket2::{
    SockFilter,
    SockRef, //
};

const LD_W_ABS: u16 = 0x20;
const LD_H_ABS: u16 = 0x28;
const LD_B_ABS: u16 = 0x30;
const LD_W_IND: u16 = 0x40;
const LD_B_IND: u16 = 0x50;
const LD_IMM: u16 = 0x00;
const LD_MEM: u16 = 0x60;
const LDX_IMM: u16 = 0x01;
const LDX_MEM: u16 = 0x61;
const ST: u16 = 0x02;
const ALU_ADD_K: u16 = 0x04;
const ALU_NEG: u16 = 0x84;
const ALU_LSH_X: u16 = 0x6c;
const ALU_AND_X: u16 = 0x5c;
const ALU_XOR_K: u16 = 0xa4;
const JA: u16 = 0x05;
const JEQ_K: u16 = 0x15;
const JGT_K: u16 = 0x25;
const JGE_K: u16 = 0x35;
const RET_K: u16 = 0x06;
const TAX: u16 = 0x07;
/// `SKF_AD_OFF + SKF_AD_NLATTR`: where the first attribute of type X is, counted from A on; 0 for nowhere.
const NLATTR: u32 = 0xffff_f00c;
/// `SKF_AD_OFF + SKF_AD_NLATTR_NEST`: the same within the attribute that begins at A.
const NLATTR_NEST: u32 = 0xffff_f010;

/// A program has at most this many instructions (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

/// An instruction: what to do, how many to skip if so and if not, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Op {
    code: u16,
    yes: u8,
    no: u8,
    k: u32,
}

/// A piece of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code(Vec<Op>);

impl Code {
    fn jump(&mut self, code: u16, k: u32, yes: u8, no: u8) {
        self.0.push(Op { code, yes, no, k });
    }

    fn put(&mut self, code: u16, k: u32) {
        self.jump(code, k, 0, 0);
    }

    /// How many instructions it has.
    fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Ends the program, and lets the message through.
    pub fn pass(&mut self) {
        self.put(RET_K, u32::MAX);
    }

    /// Ends the program, and drops the message.
    pub fn discard(&mut self) {
        self.put(RET_K, 0);
    }

    /// Appends these instructions.
    pub fn append(&mut self, inner: &Self) {
        self.0.extend_from_slice(&inner.0);
    }

    /// Skips so many instructions.
    pub fn skip(&mut self, count: u32) {
        self.put(JA, count);
    }

    /// Skips `yes` instructions if A is `k`, and `no` if not.
    pub fn if_equal(&mut self, k: u32, yes: u8, no: u8) {
        self.jump(JEQ_K, k, yes, no);
    }

    /// Skips `yes` instructions if A is greater than `k`, and `no` if not.
    pub fn if_greater(&mut self, k: u32, yes: u8, no: u8) {
        self.jump(JGT_K, k, yes, no);
    }

    /// Skips `yes` instructions if A is `k` or greater, and `no` if not.
    pub fn if_at_least(&mut self, k: u32, yes: u8, no: u8) {
        self.jump(JGE_K, k, yes, no);
    }

    /// Runs `inner` if A is `k`.
    pub fn when(&mut self, k: u32, inner: &Self) {
        self.if_equal(k, 1, 0);
        self.skip(inner.len());
        self.append(inner);
    }

    /// A becomes the word at this octet of the message.
    pub fn word(&mut self, at: u32) {
        self.put(LD_W_ABS, at);
    }

    /// A becomes the half word at this octet of the message.
    pub fn half(&mut self, at: u32) {
        self.put(LD_H_ABS, at);
    }

    /// A becomes this octet of the message.
    pub fn octet(&mut self, at: u32) {
        self.put(LD_B_ABS, at);
    }

    /// A becomes the word so many octets behind X.
    pub fn word_behind_x(&mut self, octets: u32) {
        self.put(LD_W_IND, octets);
    }

    /// A becomes the octet so many octets behind X.
    pub fn octet_behind_x(&mut self, octets: u32) {
        self.put(LD_B_IND, octets);
    }

    /// A becomes `k`.
    pub fn number(&mut self, k: u32) {
        self.put(LD_IMM, k);
    }

    /// A becomes a word of memory.
    pub fn load(&mut self, word: u32) {
        self.put(LD_MEM, word);
    }

    /// A word of memory becomes A.
    pub fn store(&mut self, word: u32) {
        self.put(ST, word);
    }

    /// X becomes A.
    pub fn x_from_a(&mut self) {
        self.put(TAX, 0);
    }

    /// X becomes a word of memory.
    pub fn load_x(&mut self, word: u32) {
        self.put(LDX_MEM, word);
    }

    /// Adds `k` to A.
    pub fn add(&mut self, k: u32) {
        self.put(ALU_ADD_K, k);
    }

    /// A becomes its negative.
    pub fn negate(&mut self) {
        self.put(ALU_NEG, 0);
    }

    /// Shifts A to the left by X.
    pub fn shift_left_by_x(&mut self) {
        self.put(ALU_LSH_X, 0);
    }

    /// A becomes A and X, bit by bit.
    pub fn and_x(&mut self) {
        self.put(ALU_AND_X, 0);
    }

    /// A becomes A xor `k`.
    pub fn xor(&mut self, k: u32) {
        self.put(ALU_XOR_K, k);
    }

    /// A becomes the octet where the first attribute of this number is, or 0; the attributes begin at `from`.
    pub fn attr(&mut self, from: u32, number: u16) {
        self.put(LDX_IMM, number.into());
        self.number(from);
        self.put(LD_B_ABS, NLATTR);
    }

    /// The same within the attribute that begins at A.
    pub fn nested_attr(&mut self, number: u16) {
        self.put(LDX_IMM, number.into());
        self.put(LD_B_ABS, NLATTR_NEST);
    }

    /// Makes a program of these instructions. If they are too many for the kernel, it is one that lets everything through.
    pub fn program(mut self) -> Program {
        if self.0.len() > LONGEST {
            self.0.clear();
            self.pass();
        }
        let ops = self.0.iter();
        Program(
            ops.map(|op| SockFilter::new(op.code, op.yes, op.no, op.k))
                .collect(),
        )
    }
}

/// A program that the kernel can run.
#[derive(Debug)]
pub struct Program(Vec<SockFilter>);

impl Program {
    /// How many instructions it has.
    pub fn instructions(&self) -> usize {
        self.0.len()
    }

    /// Has the kernel run it for each message that this socket would receive, in place of the one before.
    pub fn attach(&self, socket: &impl AsFd) -> io::Result<()> {
        SockRef::from(socket).attach_filter(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// Whether the kernel lets a message through to a socket with this program.
    fn passes(code: Code, message: &[u8]) -> bool {
        let (from, to) = UnixDatagram::pair().unwrap();
        code.program().attach(&to).unwrap();
        to.set_nonblocking(true).unwrap();
        from.send(message).unwrap();
        to.recv(&mut [0; 16]).is_ok()
    }

    #[test]
    fn what_is_equal_passes() {
        let code = |octet| {
            let (mut code, mut inner) = (Code::default(), Code::default());
            inner.pass();
            code.octet(1);
            code.when(octet, &inner);
            code.discard();
            code
        };
        assert!(passes(code(8), &[7, 8, 9]));
        assert!(!passes(code(7), &[7, 8, 9]));
        // A message that is too short is dropped.
        assert!(!passes(code(8), &[7]));
    }

    #[test]
    fn too_long_lets_everything_through() {
        let code = |count| {
            let mut code = Code::default();
            for _ in 0..count {
                code.discard();
            }
            code
        };
        assert!(!passes(code(LONGEST), b"message"));
        assert!(passes(code(LONGEST + 1), b"message"));
    }
}

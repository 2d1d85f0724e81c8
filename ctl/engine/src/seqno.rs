// SPDX-License-Identifier: GPL-2.0
//! Which sequence numbers of a peer are accepted (RFC 1982 arithmetic).
//!
//! A sender counts up by one for each request and keeps the number when it retransmits. Both ends learn where the
//! other's counter stands from every HELLO that passed between them, in either direction: who sent it goes on from its
//! number, and who answered it starts over from the same number. So there may be a few places from which the next
//! request can follow, until one was accepted.

/// How far ahead of the expected number one may be: superseded requests are abandoned and may have been lost.
pub(crate) const AHEAD: u16 = 16;
/// How many HELLOs are remembered.
const REMEMBERED: usize = 4;

/// What a sequence number is to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The next one, or one shortly after it.
    New,
    /// That of the last request accepted, or one shortly before it.
    Old,
    /// Any other.
    Wrong,
}

/// What is known of a peer's counter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Numbers after which the next request may come.
    bases: Vec<u16>,
    /// The last request accepted.
    accepted: Option<u16>,
    /// The only number after which that one, and those before it, could come.
    followed: Option<u16>,
    /// HELLOs heard since the last request was accepted, then those before.
    greeted: Vec<u16>,
    stale: Vec<u16>,
}

/// Whether a request with this number can come after that base.
fn follows(seqno: u16) -> impl Fn(&u16) -> bool {
    move |base| (1..=AHEAD).contains(&seqno.wrapping_sub(*base))
}

fn remember(list: &mut Vec<u16>, seqno: u16) {
    list.retain(|known| *known != seqno);
    if list.len() >= REMEMBERED {
        list.remove(0);
    }
    list.push(seqno);
}

impl Window {
    /// What this number is.
    pub(crate) fn classify(&self, seqno: u16) -> Class {
        if let Some(accepted) = self.accepted {
            if accepted.wrapping_sub(seqno) < AHEAD {
                return Class::Old;
            }
        }
        if self.bases.iter().any(follows(seqno)) {
            Class::New
        } else {
            Class::Wrong
        }
    }

    /// A request with this number was accepted.
    pub(crate) fn accept(&mut self, seqno: u16) {
        let mut before = self.bases.iter().copied().filter(follows(seqno));
        let first = before.next();
        let only = first.filter(|_| before.next().is_none());
        if only.is_none() || only != self.accepted {
            self.followed = only;
        }
        self.bases.clear();
        self.bases.push(seqno);
        self.accepted = Some(seqno);
        for hello in std::mem::take(&mut self.greeted) {
            remember(&mut self.stale, hello);
        }
    }

    /// A HELLO with this number passed between the two, in either direction.
    pub(crate) fn learn(&mut self, seqno: u16) {
        remember(&mut self.bases, seqno);
        // A peer that greets may have started over at a number near the last one.
        self.accepted = None;
    }

    /// A HELLO of ours with this number was acknowledged. When a request came from there already, those before it are old.
    pub(crate) fn learn_again(&mut self, seqno: u16) {
        if !self.is_followed(seqno) {
            self.learn(seqno);
        }
    }

    /// Whether the last request that was accepted came after a HELLO with this number.
    pub(crate) fn is_followed(&self, seqno: u16) -> bool {
        self.accepted.is_some() && self.followed == Some(seqno)
    }

    /// A HELLO was heard; false when it is a copy of one that was heard already.
    pub(crate) fn greet(&mut self, seqno: u16) -> bool {
        let first = !self.greeted.contains(&seqno);
        remember(&mut self.greeted, seqno);
        first
    }

    /// Whether the peer never said anything of its own accord.
    pub(crate) fn is_fresh(&self) -> bool {
        self.accepted.is_none() && self.greeted.is_empty() && self.stale.is_empty()
    }

    /// The last HELLO that was heard since a request was accepted.
    pub(crate) fn heard(&self) -> Option<u16> {
        self.greeted.last().copied()
    }

    /// Whether a HELLO with this number was overtaken by a later request.
    pub(crate) fn is_stale(&self, seqno: u16) -> bool {
        self.stale.contains(&seqno)
    }

    /// Takes over what is known of the same peer under another entry.
    pub(crate) fn merge(&mut self, other: &Window) {
        for base in &other.bases {
            remember(&mut self.bases, *base);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_right_before_a_hello() {
        let window = Window::default();
        assert!((0..=u16::MAX).all(|seqno| window.classify(seqno) == Class::Wrong));
    }

    #[test]
    fn window_is_narrow_and_wraps() {
        let mut window = Window::default();
        window.learn(u16::MAX - 1);
        assert_eq!(window.classify(u16::MAX - 1), Class::Wrong);
        for ahead in 1..=AHEAD {
            assert_eq!(
                window.classify((u16::MAX - 1).wrapping_add(ahead)),
                Class::New
            );
        }
        assert_eq!(
            window.classify((u16::MAX - 1).wrapping_add(AHEAD + 1)),
            Class::Wrong
        );
        window.accept(1);
        assert_eq!(window.classify(1), Class::Old);
        assert_eq!(window.classify(u16::MAX), Class::Old);
        assert_eq!(window.classify(2), Class::New);
        let of = |class| {
            (0..=u16::MAX)
                .filter(|seqno| window.classify(*seqno) == class)
                .count()
        };
        assert_eq!((of(Class::New), of(Class::Old)), (16, 16));
    }

    #[test]
    fn both_sides_of_a_glare_are_followed() {
        let mut window = Window::default();
        window.learn(100);
        window.learn(40_000);
        assert_eq!(window.classify(101), Class::New);
        assert_eq!(window.classify(40_001), Class::New);
        window.accept(101);
        assert_eq!(window.classify(40_001), Class::Wrong);
    }

    #[test]
    fn late_answer_to_a_greeting_brings_no_old_request_back() {
        let mut window = Window::default();
        window.learn(100);
        window.accept(102);
        window.accept(103);
        window.learn_again(100);
        assert_eq!(window.classify(101), Class::Old);
        assert_eq!(window.classify(104), Class::New);
        // What was accepted before the peer heard the greeting says nothing of it.
        let mut window = Window::default();
        window.learn(40_000);
        window.learn(100);
        window.accept(40_001);
        window.learn_again(100);
        assert_eq!(window.classify(101), Class::New);
        // Nor does what could follow either.
        let mut window = Window::default();
        window.learn(98);
        window.learn(100);
        window.accept(103);
        window.learn_again(100);
        assert_eq!(window.classify(101), Class::New);
    }

    #[test]
    fn copies_of_a_hello_are_told_apart() {
        let mut window = Window::default();
        assert!(window.greet(7));
        assert!(!window.greet(7));
        assert!(!window.is_stale(7));
        window.learn(7);
        window.accept(8);
        assert!(window.is_stale(7));
    }
}

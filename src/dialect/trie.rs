//! Pointers compiled into states: what a reader that walks once through a body has to look out for.
//!
//! Pointers with `*` are turned into plain states when a dialect is compiled, so that a walk follows one state at a time.

use std::num::NonZeroU16;

use super::pointer::Step;

/// What the reader does with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Keep it in this slot.
    Slot(u16),
    /// Keep it in this slot unless something is there: a `*` yields many.
    FirstSlot(u16),
    /// It may be an item of this list. `alone`: it is the whole list, if it is no list itself.
    Item { list: u8, alone: bool },
    /// It is this part of the list's present item.
    Part { list: u8, part: u8 },
}

/// Where the walk is.
#[derive(Debug)]
pub(super) struct State {
    /// By name. Few, so a walk along them is the quickest search.
    members: Box<[(Box<str>, Goal)]>,
    /// Any other member.
    other: Option<Goal>,
    /// By number.
    items: Box<[(usize, Goal)]>,
    /// Any other item.
    each: Option<Goal>,
    /// What to do with the value here.
    pub(super) marks: Box<[Mark]>,
    /// Whether nothing inside the value matters.
    pub(super) leaf: bool,
}

/// A state's number. The start is no goal, hence never 0.
pub(super) type Goal = NonZeroU16;

/// Place of a member among a state's named ones, to notice one that is given twice.
pub(super) type Place = usize;

impl State {
    /// Where the member leads, and its place if it is a named one.
    #[inline]
    pub(super) fn member(&self, name: &str) -> Option<(Goal, Option<Place>)> {
        match self.members.iter().position(|(known, _)| **known == *name) {
            Some(place) => Some((self.members[place].1, Some(place))),
            None => self.other.map(|goal| (goal, None)),
        }
    }

    /// Where the item leads.
    #[inline]
    pub(super) fn item(&self, index: usize) -> Option<Goal> {
        self.items.iter().find(|(known, _)| *known == index).map(|(_, goal)| *goal).or(self.each)
    }

    /// Whether anything inside an array matters.
    pub(super) fn enters_arrays(&self) -> bool {
        self.each.is_some() || !self.items.is_empty()
    }

    /// All the ways on.
    pub(super) fn goals(&self) -> impl Iterator<Item = Goal> {
        let named = self.members.iter().map(|(_, goal)| *goal).chain(self.items.iter().map(|(_, goal)| *goal));
        named.chain(self.other).chain(self.each)
    }
}

/// All states; the first is the body.
#[derive(Debug)]
pub(super) struct Trie {
    states: Box<[State]>,
}

impl Trie {
    #[inline]
    pub(super) fn start(&self) -> &State {
        &self.states[0]
    }

    #[inline]
    pub(super) fn state(&self, goal: Goal) -> &State {
        &self.states[usize::from(goal.get())]
    }
}

/// Collects pointers.
#[derive(Debug)]
pub(super) struct Builder {
    nodes: Vec<Node>,
}

/// Pointers with the same beginning share nodes; `*` is still a way of its own here.
#[derive(Debug, Default)]
struct Node {
    named: Vec<(String, usize)>,
    any: Option<usize>,
    each: Option<usize>,
    marks: Vec<Mark>,
}

/// More than any dialect needs. `*` on several levels multiplies states, and a document from outside must not eat memory.
const MAX_STATES: usize = 4096;

impl Builder {
    pub(super) fn new() -> Builder {
        Builder { nodes: vec![Node::default()] }
    }

    /// Looks out for the value at the end of `steps`.
    pub(super) fn add<'s>(&mut self, steps: impl IntoIterator<Item = &'s Step>, mark: Mark) {
        let mut at = 0;
        for step in steps {
            let fresh = self.nodes.len();
            if fresh > MAX_STATES {
                return;
            }
            let node = &mut self.nodes[at];
            at = match step {
                Step::Any => *node.any.get_or_insert(fresh),
                Step::Each => *node.each.get_or_insert(fresh),
                Step::Name(name) => match node.named.iter().find(|(known, _)| known == name) {
                    Some((_, known)) => *known,
                    None => {
                        node.named.push((name.clone(), fresh));
                        fresh
                    }
                },
            };
            if at == fresh {
                self.nodes.push(Node::default());
            }
        }
        self.nodes[at].marks.push(mark);
    }

    /// Compiles; `None` when the pointers multiply beyond measure.
    ///
    /// The classical subset construction: a state is the set of nodes that are reached by the same way down.
    pub(super) fn build(self) -> Option<Trie> {
        if self.nodes.len() > MAX_STATES {
            return None;
        }
        let mut sets = Sets(vec![vec![0]]);
        let mut states = Vec::new();
        while let Some(set) = sets.0.get(states.len()).cloned() {
            let nodes: Vec<&Node> = set.iter().map(|node| &self.nodes[*node]).collect();
            let any: Vec<usize> = nodes.iter().filter_map(|node| node.any).collect();
            let each: Vec<usize> = nodes.iter().filter_map(|node| node.each).chain(any.iter().copied()).collect();
            let mut names: Vec<&str> = Vec::new();
            for (name, _) in nodes.iter().flat_map(|node| &node.named) {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
            let (mut members, mut items) = (Vec::new(), Vec::new());
            for name in names {
                let named = nodes.iter().flat_map(|node| &node.named).filter(|(known, _)| known == name);
                let named: Vec<usize> = named.map(|(_, node)| *node).collect();
                members.push((name.into(), sets.goal([&*named, &*any].concat())?));
                if let Ok(index) = name.parse() {
                    items.push((index, sets.goal([&*named, &*each].concat())?));
                }
            }
            let other = if any.is_empty() { None } else { Some(sets.goal(any)?) };
            let each = if each.is_empty() { None } else { Some(sets.goal(each)?) };
            let leaf = members.is_empty() && other.is_none() && each.is_none();
            let marks = nodes.iter().flat_map(|node| node.marks.iter().copied()).collect();
            states.push(State { members: members.into(), other, items: items.into(), each, marks, leaf });
        }
        Some(Trie { states: states.into() })
    }
}

/// Sets of nodes, numbered as they are met.
struct Sets(Vec<Vec<usize>>);

impl Sets {
    /// The state that stands for the set.
    fn goal(&mut self, mut set: Vec<usize>) -> Option<Goal> {
        set.sort_unstable();
        let number = match self.0.iter().position(|known| *known == set) {
            Some(known) => known,
            None if self.0.len() == MAX_STATES => return None,
            None => {
                self.0.push(set);
                self.0.len() - 1
            }
        };
        NonZeroU16::new(number as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<Step> {
        let step = |s: &str| if s == "*" { Step::Any } else { Step::Name(s.to_owned()) };
        text.split('/').skip(1).map(step).collect()
    }

    #[test]
    fn a_name_beside_a_star_is_reached_by_both() {
        let mut builder = Builder::new();
        builder.add(&steps("/a/x"), Mark::Slot(0));
        builder.add(&steps("/*/x"), Mark::Slot(1));
        let trie = builder.build().expect("two pointers");
        let at = |name: &str| {
            let (goal, _) = trie.start().member(name).expect("a star takes every name");
            let (goal, _) = trie.state(goal).member("x").expect("x is below both");
            trie.state(goal).marks.to_vec()
        };
        assert_eq!(at("a"), [Mark::Slot(0), Mark::Slot(1)]);
        assert_eq!(at("b"), [Mark::Slot(1)]);
    }

    #[test]
    fn pointers_that_multiply_are_refused() {
        let mut builder = Builder::new();
        for star in 0..16 {
            let mut way: Vec<String> = (0..16).map(|level| format!("n{level}")).collect();
            way[star] = "*".to_owned();
            builder.add(&steps(&format!("/{}", way.join("/"))), Mark::Slot(0));
        }
        for stars in 0..12u32 {
            let way: Vec<&str> = (0..12).map(|level| if level == stars { "a" } else { "*" }).collect();
            builder.add(&steps(&format!("/{}/x", way.join("/"))), Mark::Slot(0));
        }
        assert!(builder.build().is_none());
    }
}

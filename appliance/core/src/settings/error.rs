//! What is wrong with a settings file, in words for the person who wrote it.
//!
//! These texts quote the file, so they are for the operator's terminal and never for the log.

use std::fmt;

/// No more problems than this are reported at a time.
pub(crate) const MOST_PROBLEMS: usize = 20;

/// All that is wrong with a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// At least one, at most [`MOST_PROBLEMS`].
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// Which.
    pub kind: ProblemKind,
}

/// What kind of problem.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// This is no TOML.
    Syntax {
        /// Character in the line, from 1.
        column: usize,
        /// In the words of the parser.
        message: String,
    },
    /// The text cannot be read as it was saved.
    Encoding {
        /// What it is and what to do.
        message: String,
    },
    /// No such section or key.
    Unknown {
        /// As written, with its section.
        key: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// The key exists, its value does not fit.
    Value {
        /// With its section.
        key: String,
        /// What a value looks like.
        expected: String,
        /// What was there.
        found: String,
    },
    /// The key is of no use without another one.
    Alone {
        /// With its section.
        key: String,
        /// What must stand beside it.
        missing: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ProblemKind::Syntax { column, message } = &self.kind {
            return write!(f, "line {}, column {column}: not valid TOML: {message}", self.line);
        }
        write!(f, "line {}: ", self.line)?;
        match &self.kind {
            ProblemKind::Syntax { message, .. } | ProblemKind::Encoding { message } => f.write_str(message),
            ProblemKind::Unknown { key, nearest: Some(nearest) } => {
                write!(f, "there is no key `{key}`; did you mean `{nearest}`?")
            }
            ProblemKind::Unknown { key, nearest: None } => write!(f, "there is no key `{key}`"),
            ProblemKind::Value { key, expected, found } => {
                write!(f, "`{key}`: expected {expected}, found {found}")
            }
            ProblemKind::Alone { key, missing } => {
                write!(f, "`{key}` is of no use without `{missing}`; add that, or take this out")
            }
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

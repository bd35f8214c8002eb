//! What can be measured. Each bench fills a report of its own.

mod browser;
mod first_page;
mod idle_session;
mod mailbox;
mod memory;
mod page_weight;
mod the_box;
mod turn;

use anyhow::Result;

use crate::report::Report;

/// How much patience there is.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds of each measurement; the median is reported.
    pub rounds: usize,
    /// Sessions of the idle bench.
    pub sessions: [usize; 2],
    /// Phones of the memory bench.
    pub phones: usize,
    /// How long the box in the virtual machine is watched.
    pub operation_s: u32,
    /// Packets of one measurement of the TURN bench at saturation.
    pub packets: u64,
    /// Seconds of one at a pace.
    pub seconds: u32,
}

impl Effort {
    /// As published.
    pub const FULL: Self = Self {
        rounds: 5,
        sessions: [2000, 5000],
        phones: 200,
        operation_s: 600,
        packets: 400_000,
        seconds: 5,
    };
    /// To see that the benches themselves work.
    pub const QUICK: Self =
        Self { rounds: 1, sessions: [100, 200], phones: 10, operation_s: 60, packets: 10_000, seconds: 1 };
}

/// One bench.
#[derive(Clone, Copy)]
pub struct Bench {
    /// On the command line, and of its file.
    pub name: &'static str,
    /// For `--list`.
    pub about: &'static str,
    /// Measures.
    pub run: fn(Effort, &mut Report) -> Result<()>,
}

/// All benches, in the order in which they run.
pub const ALL: &[Bench] = &[
    Bench {
        name: "first-page",
        about: "from exec of `bulle serve` to the first bytes of the page over TLS",
        run: first_page::run,
    },
    Bench {
        name: "page-weight",
        about: "bytes over the wire until the first screen, and in all",
        run: page_weight::run,
    },
    Bench {
        name: "page-ready",
        about: "from navigation to first screen and to ready, in Chromium with 4x CPU throttling",
        run: browser::page_ready,
    },
    Bench {
        name: "connect",
        about: "from opening a conversation to a direct and to a relayed path, in Chromium",
        run: browser::connect,
    },
    Bench {
        name: "resume",
        about: "from the cut of both phones' connections to a message written then and read, in Chromium",
        run: browser::resume,
    },
    Bench {
        name: "memory",
        about: "memory of the node: idle, and per connected native phone",
        run: memory::run,
    },
    Bench {
        name: "idle-session",
        about: "memory and CPU per idle TLS WebSocket session, beside the bare minimum and mosquitto",
        run: idle_session::run,
    },
    Bench {
        name: "mailbox",
        about: "CPU and delay per message, beside the bare minimum, mosquitto and NATS; memory per stored envelope",
        run: mailbox::run,
    },
    Bench {
        name: "box-size",
        about: "size of the images that are flashed, and of the root file system in them",
        run: the_box::size,
    },
    Bench {
        name: "box-start",
        about: "from the kernel's start to the first page in QEMU, beside the same packages as Debian starts them",
        run: the_box::start,
    },
    Bench {
        name: "box-operation",
        about: "memory of the booted box in QEMU, and what it writes to its card while phones talk",
        run: the_box::operation,
    },
    Bench {
        name: "turn",
        about: "CPU per relayed packet and per allocation, delay and loss, beside coturn and a bare forwarder",
        run: turn::run,
    },
];

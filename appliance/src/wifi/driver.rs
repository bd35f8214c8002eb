//! Carries out what the machine wants, one thing after the other, and tells it what happened.

#[cfg(test)]
mod tests;

use super::hostapd::{Happening, Hostapd};
use super::{Dirs, radios, sysfs};
use crate::clocks::Clocks;
use appliance_core::wifi::access_point::{AccessPoint, Complaint, Effect, Located, Pulse, RadioPulse};
use appliance_core::wifi::hostapd::Status;
use appliance_core::wifi::{Credentials, Event, Interface, Plan};
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info, warn};

/// For so long the kernel may take to answer about the radio, and to start its driver again.
const KERNEL_PATIENCE: Duration = Duration::from_secs(3);
const REBIND_PATIENCE: Duration = Duration::from_secs(15);
/// Questions to the kernel that may be under way, or lost.
const MOST_QUESTIONS: usize = 4;

/// What the owner wants of a running access point.
pub(super) enum Order {
    NewCredentials(Credentials),
    Stop,
}

/// The radio as the driver sees it. Every question may block, for ever when a driver hangs.
pub(super) trait Radio: Send + Sync + 'static {
    /// Its interface, if it is there.
    fn locate(&self) -> io::Result<Option<Interface>>;
    /// Its signs of life; `None` when the interface is gone.
    fn pulse(&self, interface: &Interface) -> io::Result<Option<RadioPulse>>;
    /// Starts its driver again.
    fn rebind(&self) -> io::Result<()>;
}

/// The radio of a plan, on this machine.
pub(super) struct RealRadio {
    dirs: Dirs,
    plan: Plan,
}

impl RealRadio {
    pub(super) fn new(plan: &Plan, dirs: Dirs) -> Self {
        Self { dirs, plan: plan.clone() }
    }
}

impl Radio for RealRadio {
    fn locate(&self) -> io::Result<Option<Interface>> {
        radios::locate(&self.dirs, &self.plan)
    }

    fn pulse(&self, interface: &Interface) -> io::Result<Option<RadioPulse>> {
        radios::pulse(&self.dirs, interface)
    }

    fn rebind(&self) -> io::Result<()> {
        sysfs::rebind(&self.dirs.sys, &self.plan.radio)
    }
}

/// The access point of this machine and its surroundings.
pub(super) struct Driver<R> {
    pub(super) plan: Plan,
    pub(super) credentials: Credentials,
    pub(super) dirs: Dirs,
    pub(super) radio: Arc<R>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) events: mpsc::Sender<Event>,
}

enum Input {
    Happening(Happening),
    Order(Option<Order>),
    Timeout,
}

impl<R: Radio> Driver<R> {
    /// Runs until it is told to stop, or its owner is gone.
    pub(super) async fn run(mut self) {
        let clocks = Clocks::new(None);
        let mut machine = AccessPoint::new(self.plan.stations);
        let mut hands = Hands {
            hostapd: None,
            interface: None,
            questions: Arc::new(Semaphore::new(MOST_QUESTIONS)),
            rebinds: Arc::new(Semaphore::new(1)),
        };
        loop {
            while let Some(effect) = machine.poll_effect() {
                self.carry_out(effect, &mut machine, &mut hands, &clocks).await;
            }
            // What does not fit waits in the machine, which keeps the newest.
            while let Ok(permit) = self.events.try_reserve() {
                let Some(event) = machine.poll_event() else { break };
                tell(event);
                permit.send(event);
            }
            if machine.is_stopped() {
                return;
            }
            match self.input(&machine, &mut hands, &clocks).await {
                Input::Happening(Happening::News(news)) => machine.handle_news(news, clocks.now()),
                Input::Happening(Happening::Exited) => {
                    let mut complaint = Complaint::None;
                    if let Some(mut hostapd) = hands.hostapd.take() {
                        complaint = hostapd.last_complaint().await;
                        hostapd.clean();
                    }
                    machine.handle_exited(complaint, clocks.now());
                }
                Input::Order(Some(Order::NewCredentials(credentials))) => {
                    self.credentials = credentials;
                    machine.handle_new_keys();
                }
                Input::Order(Some(Order::Stop) | None) => machine.handle_stop(),
                Input::Timeout => machine.handle_timeout(clocks.now()),
            }
        }
    }

    async fn input(&mut self, machine: &AccessPoint, hands: &mut Hands, clocks: &Clocks) -> Input {
        let due = async {
            match machine.poll_timeout() {
                Some(at) => sleep_until(clocks.at(at)).await,
                None => pending().await,
            }
        };
        let happening = async {
            match &mut hands.hostapd {
                Some(hostapd) => hostapd.happening().await,
                None => pending().await,
            }
        };
        tokio::select! {
            order = self.orders.recv() => Input::Order(order),
            happening = happening => Input::Happening(happening),
            () = due => Input::Timeout,
        }
    }

    async fn carry_out(&self, effect: Effect, machine: &mut AccessPoint, hands: &mut Hands, clocks: &Clocks) {
        debug!(?effect, "access point");
        match effect {
            Effect::Locate => {
                let located = self.locate(hands).await;
                machine.handle_located(located, clocks.now());
            }
            Effect::Start => {
                hands.hostapd = self.start(hands).await;
                machine.handle_started(hands.hostapd.is_some(), clocks.now());
            }
            Effect::End { politely } => {
                let complaint = hands.complaint();
                if let Some(hostapd) = hands.hostapd.take() {
                    hostapd.end(politely).await;
                }
                machine.handle_exited(complaint, clocks.now());
            }
            Effect::Feel => {
                let pulse = self.feel(hands).await;
                machine.handle_pulse(pulse, hands.complaint(), clocks.now());
            }
            Effect::Rebind => {
                let radio = Arc::clone(&self.radio);
                let bound = ask(&hands.rebinds, REBIND_PATIENCE, move || radio.rebind()).await;
                if let Err(error) = bound {
                    warn!(%error, "the radio's driver could not be started again");
                }
                machine.handle_rebound(clocks.now());
            }
            Effect::ChangeKeys => {
                let done = match (&mut hands.hostapd, &hands.interface) {
                    (Some(hostapd), Some(interface)) => {
                        hostapd.change_keys(&self.plan, &self.credentials, &interface.name).await
                    }
                    (None, _) | (_, None) => false,
                };
                machine.handle_keys_changed(done, clocks.now());
            }
        }
    }

    async fn locate(&self, hands: &mut Hands) -> Located {
        let radio = Arc::clone(&self.radio);
        match ask(&hands.questions, KERNEL_PATIENCE, move || radio.locate()).await {
            Ok(interface) => {
                hands.interface = interface;
                if hands.interface.is_some() { Located::Found } else { Located::Absent }
            }
            Err(error) => {
                warn!(%error, "the kernel does not tell about radios");
                Located::Unknown
            }
        }
    }

    async fn start(&self, hands: &Hands) -> Option<Hostapd> {
        let interface = hands.interface.as_ref()?;
        match Hostapd::start(&self.dirs, &self.plan, &self.credentials, &interface.name).await {
            Ok(hostapd) => Some(hostapd),
            Err(error) => {
                warn!(%error, "hostapd cannot be started");
                None
            }
        }
    }

    async fn feel(&self, hands: &mut Hands) -> Pulse {
        let status = match &mut hands.hostapd {
            Some(hostapd) => hostapd.status().await,
            None => None,
        };
        let radio = match hands.interface.clone() {
            Some(interface) => {
                let radio = Arc::clone(&self.radio);
                // A kernel that does not answer in time has a radio that does not answer.
                let silent = |_| Some(RadioPulse::default());
                let pulse = ask(&hands.questions, KERNEL_PATIENCE, move || radio.pulse(&interface));
                pulse.await.unwrap_or_else(silent)
            }
            None => None,
        };
        let Status { stations, .. } = status.unwrap_or_default();
        Pulse { hostapd: status.map(|status| status.phase), stations, radio }
    }
}

/// What is held between two effects.
struct Hands {
    hostapd: Option<Hostapd>,
    interface: Option<Interface>,
    /// A driver that hangs holds the thread that asked it, perhaps for ever: so many may be lost.
    questions: Arc<Semaphore>,
    /// The way out must not be held up by questions.
    rebinds: Arc<Semaphore>,
}

impl Hands {
    fn complaint(&self) -> Complaint {
        self.hostapd.as_ref().map_or(Complaint::None, Hostapd::complaint)
    }
}

/// Asks the kernel on a thread of its own, as far as `permits` go, and waits as long as `patience` lasts.
async fn ask<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    patience: Duration,
    question: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the driver does not answer");
    let permit = Arc::clone(permits).try_acquire_owned().map_err(|_| late())?;
    let answer = tokio::task::spawn_blocking(move || {
        let answer = question();
        drop(permit);
        answer
    });
    timeout(patience, answer).await.map_err(|_| late())?.map_err(io::Error::other)?
}

fn tell(event: Event) {
    match event {
        Event::Enabled => info!("the Wi-Fi is on the air"),
        Event::Recovered => info!("the Wi-Fi is on the air again"),
        Event::Stations(stations) => debug!(stations, "stations"),
        Event::Full { stations } => warn!(stations, "no more stations are let in"),
        Event::Failed(failure) => warn!(%failure, "nobody can join the Wi-Fi"),
    }
}

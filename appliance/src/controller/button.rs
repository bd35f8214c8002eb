//! The power button, as the kernel shows it: every input device that has such a key is listened to.

use appliance_core::button::{self, EVENT, Gesture, LARGEST_KEYS, MOST_BUTTONS, Presses};
use base::Instant;
use std::collections::HashMap;
use std::fs::{self, File};
use std::future::pending;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use tokio::sync::mpsc;
use tokio::time;
use tracing::info;

/// Presses that wait; more say nothing new.
const PRESSES: usize = 4;

/// All power buttons together: which of them is pressed makes no difference.
#[derive(Debug)]
pub(super) struct Button {
    devices: PathBuf,
    class: PathBuf,
    listened: HashMap<String, JoinHandle<()>>,
    pressed: (mpsc::Sender<()>, mpsc::Receiver<()>),
    presses: Presses,
    began: time::Instant,
}

impl Button {
    /// Devices are in `devices` (`/dev/input`), what they are in `sys`. None is listened to before [`Button::look`].
    #[must_use]
    pub(super) fn new(devices: PathBuf, sys: &Path) -> Self {
        Self {
            devices,
            class: sys.join("class/input"),
            listened: HashMap::new(),
            pressed: mpsc::channel(PRESSES),
            presses: Presses::default(),
            began: time::Instant::now(),
        }
    }

    /// Listens to buttons that have come since the last look. A box without one has none, and nothing is said.
    pub(super) fn look(&mut self) {
        self.listened.retain(|_, thread| !thread.is_finished());
        for entry in fs::read_dir(&self.devices).into_iter().flatten().filter_map(Result::ok) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.listened.len() >= MOST_BUTTONS {
                return;
            }
            if !name.starts_with("event") || self.listened.contains_key(&name) || !self.has_power(&name) {
                continue;
            }
            let pressed = self.pressed.0.clone();
            // A thread of its own, which the runtime does not wait for when the controller ends.
            let thread = thread::Builder::new().spawn(move || listen(&entry.path(), &pressed));
            // What could not be listened to is looked at again the next time.
            self.listened.extend(thread.ok().map(|thread| (name, thread)));
        }
    }

    fn has_power(&self, name: &str) -> bool {
        let keys = crate::files::read(&self.class.join(name).join("device/capabilities/key"), LARGEST_KEYS);
        let keys = keys.ok().flatten().unwrap_or_default();
        std::str::from_utf8(&keys).is_ok_and(button::has_power)
    }

    /// Waits for what somebody asks for. Nothing is lost when the wait is given up.
    pub(super) async fn gesture(&mut self) -> Gesture {
        loop {
            let due = self.presses.poll_timeout();
            let quiet = async {
                match due {
                    Some(due) => {
                        time::sleep_until(self.began + due.saturating_duration_since(Instant::ZERO)).await;
                    }
                    None => pending().await,
                }
            };
            let pressed = tokio::select! {
                Some(()) = self.pressed.1.recv() => true,
                () = quiet => false,
            };
            let now = Instant::ZERO + self.began.elapsed();
            let gesture =
                if pressed { self.presses.handle_press(now) } else { self.presses.handle_timeout(now) };
            if let Some(gesture) = gesture {
                return gesture;
            }
        }
    }
}

/// Until the device is taken away.
fn listen(device: &Path, pressed: &mpsc::Sender<()>) {
    let Ok(mut device) = File::open(device) else { return };
    info!("listening to a power button");
    let mut event = [0; EVENT];
    // The kernel gives whole events.
    while device.read_exact(&mut event).is_ok() {
        if button::is_press(&event) {
            let _ = pressed.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::time::Duration;

    /// A device with these keys in the kernel's view.
    fn device(root: &Path, name: &str, keys: &str) {
        let about = root.join("sys/class/input").join(name).join("device/capabilities");
        fs::create_dir_all(&about).expect("a directory");
        fs::write(about.join("key"), keys).expect("written");
        fs::create_dir_all(root.join("dev")).expect("a directory");
        mkfifo(&root.join("dev").join(name), Mode::S_IRWXU).expect("a device");
    }

    fn presses(count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for value in [1_i32, 0].repeat(count) {
            bytes.extend_from_slice(&[0; 16]);
            bytes.extend_from_slice(&1_u16.to_ne_bytes());
            bytes.extend_from_slice(&116_u16.to_ne_bytes());
            bytes.extend_from_slice(&value.to_ne_bytes());
        }
        bytes
    }

    #[tokio::test]
    async fn the_power_button_is_heard_and_a_mouse_is_not() {
        let root = std::env::temp_dir().join(format!("bulle-button-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        device(&root, "event0", "ff0000 0 0 0 0");
        device(&root, "event1", "10000000000000 0\n");
        let mut button = Button::new(root.join("dev"), &root.join("sys"));
        button.look();
        button.look();
        assert_eq!(button.listened.keys().collect::<Vec<_>>(), ["event1"], "once, and it alone");

        let mut file =
            OpenOptions::new().write(true).open(root.join("dev/event1")).expect("somebody listens");
        file.write_all(&presses(3)).expect("pressed");
        assert_eq!(button.gesture().await, Gesture::Purge);
        assert!(time::timeout(Duration::from_secs(3), button.gesture()).await.is_err(), "and no more");
        file.write_all(&presses(1)).expect("pressed");
        // As the controller does: it waits for other things as well.
        while time::timeout(Duration::from_millis(100), button.gesture()).await.is_err() {}

        drop(file);
        while !button.listened.values().all(JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        fs::remove_file(root.join("dev/event1")).expect("taken away");
        button.look();
        assert!(button.listened.is_empty(), "what was taken away is forgotten");
        fs::remove_dir_all(root).expect("tidied up");
    }
}

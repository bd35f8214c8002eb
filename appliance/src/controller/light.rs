//! The light of the box, as the kernel shows it in `/sys/class/leds`: blinks by itself, in a rhythm that the core gives.
//!
//! It blinks from here and not by the kernel's timer, which not every kernel has: so it also shows that the controller
//! is alive. A box without a light has none, and nothing is said about it.

use appliance_core::light::{self, MOST_LIGHTS};
use std::fs;
use std::path::{Path, PathBuf};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The light, or none.
#[derive(Debug)]
pub(super) struct Light {
    wanted: Option<watch::Sender<light::Light>>,
    sys: PathBuf,
    dir: Option<PathBuf>,
    task: Option<JoinHandle<()>>,
    /// What drove it before.
    before: Option<String>,
}

impl Light {
    /// Shows nothing of ours until [`Light::show`].
    #[must_use]
    pub(super) fn new(sys: &Path) -> Self {
        Self { wanted: None, sys: sys.to_owned(), dir: None, task: None, before: None }
    }

    /// Says this from now on. Where there is no light yet it is looked for again: its driver may come after us.
    pub(super) fn show(&mut self, light: light::Light) {
        if let Some(wanted) = &self.wanted {
            wanted.send_if_modified(|before| std::mem::replace(before, light) != light);
            return;
        }
        let Some(dir) = find(&self.sys) else { return };
        self.dir = Some(dir.clone());
        let trigger = dir.join("trigger");
        // The one in brackets is in force.
        let all = fs::read_to_string(&trigger).unwrap_or_default();
        self.before = all.split_once('[').and_then(|(_, rest)| Some(rest.split_once(']')?.0.to_owned()));
        let _ = fs::write(&trigger, "none");
        let (wanted, changes) = watch::channel(light);
        self.wanted = Some(wanted);
        self.task = Some(tokio::spawn(shine(dir, changes)));
    }
}

impl Drop for Light {
    /// Gives it back to what drove it before.
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let (Some(dir), Some(before)) = (&self.dir, &self.before) {
            let _ = fs::write(dir.join("trigger"), before);
        }
    }
}

/// The light of this board.
fn find(sys: &Path) -> Option<PathBuf> {
    let dir = sys.join("class/leds");
    let all = fs::read_dir(&dir).into_iter().flatten();
    let mut names: Vec<String> =
        all.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(MOST_LIGHTS).collect();
    names.sort();
    light::choose(&names).and_then(|index| names.get(index)).map(|name| dir.join(name))
}

async fn shine(dir: PathBuf, mut changes: watch::Receiver<light::Light>) {
    let most = fs::read_to_string(dir.join("max_brightness")).unwrap_or_default();
    let most = most.trim().parse::<u32>().ok().filter(|most| *most > 0).unwrap_or(1).to_string();
    let mut on = true;
    loop {
        // A light that is taken away, with the adapter that it was on, is none.
        let _ = fs::write(dir.join("brightness"), if on { most.as_str() } else { "0" });
        let rhythm = changes.borrow_and_update().rhythm();
        let changed = match rhythm {
            Some(half) => timeout(half, changes.changed()).await,
            None => Ok(changes.changed().await),
        };
        on = match changed {
            Ok(Ok(())) => true,
            Ok(Err(_)) => return,
            Err(_) => !on,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Leds(PathBuf);

    impl Leds {
        fn new(name: &str, lights: &[&str]) -> Self {
            let dir = std::env::temp_dir().join(format!("bulle-leds-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            for light in lights {
                let light = dir.join("class/leds").join(light);
                fs::create_dir_all(&light).unwrap();
                fs::write(light.join("trigger"), "none [mmc0] timer\n").unwrap();
                fs::write(light.join("max_brightness"), "255\n").unwrap();
                fs::write(light.join("brightness"), "7\n").unwrap();
            }
            Self(dir)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join("class/leds").join(name)).unwrap()
        }
    }

    impl Drop for Leds {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Lets the light go on for so long; time is the runtime's own.
    async fn after(milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_steady_blinks_slowly_or_fast_and_is_given_back() {
        let leds = Leds::new("blinks", &["PWR", "ACT"]);
        let mut light = Light::new(&leds.0);
        assert_eq!(leds.read("ACT/brightness"), "7\n", "nothing is touched before there is something to say");
        light.show(light::Light::Serving);
        after(5000).await;
        assert_eq!(
            (leds.read("ACT/trigger").as_str(), leds.read("ACT/brightness").as_str()),
            ("none", "255")
        );
        let mut seen = |now, steps: u64, step| {
            light.show(now);
            let leds = &leds;
            async move {
                let mut seen = String::new();
                after(1).await;
                for _ in 0..steps {
                    seen.push(if leds.read("ACT/brightness") == "0" { '-' } else { 'o' });
                    after(step).await;
                }
                seen
            }
        };
        assert_eq!(seen(light::Light::Wrong, 6, 150).await, "o-o-o-");
        assert_eq!(seen(light::Light::Waiting, 6, 400).await, "oo--oo");
        assert_eq!(seen(light::Light::Serving, 6, 400).await, "oooooo");
        assert_eq!(leds.read("PWR/brightness"), "7\n", "one light is enough");
        drop(light);
        assert_eq!(leds.read("ACT/trigger"), "mmc0");
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_without_a_light_of_its_own_is_left_alone() {
        for lights in [&[][..], &["input3::capslock"]] {
            let leds = Leds::new("none", lights);
            let mut light = Light::new(&leds.0);
            light.show(light::Light::Wrong);
            after(1000).await;
            assert!(lights.iter().all(|name| leds.read(&format!("{name}/brightness")) == "7\n"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_light_whose_driver_comes_later_is_used_then() {
        let leds = Leds::new("later", &[]);
        let mut light = Light::new(&leds.0);
        light.show(light::Light::Serving);
        let leds = Leds::new("later", &["ACT"]);
        light.show(light::Light::Serving);
        after(1).await;
        assert_eq!(
            (leds.read("ACT/trigger").as_str(), leds.read("ACT/brightness").as_str()),
            ("none", "255")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_light_that_is_taken_away_does_no_harm() {
        let leds = Leds::new("gone", &["ACT"]);
        let mut light = Light::new(&leds.0);
        light.show(light::Light::Wrong);
        after(1000).await;
        fs::remove_dir_all(&leds.0).unwrap();
        after(1000).await;
        light.show(light::Light::Serving);
        after(1000).await;
    }
}

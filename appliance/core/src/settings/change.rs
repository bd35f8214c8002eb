//! Which settings change while the daemon runs, and which wait for its next start.

use super::{ControllerSettings, Settings};

impl Settings {
    /// What holds after the operator changed these settings to `new` while the daemon runs, and the sections or keys
    /// whose change waits for the next start.
    ///
    /// What would disconnect somebody waits; what a mistake in would lock the operator out waits as well.
    #[must_use]
    pub fn changed_to(&self, new: Self) -> (Self, Vec<&'static str>) {
        let Self {
            https,
            redirect,
            names: _,
            security_contact: _,
            certificate: _,
            turn,
            webrtc,
            dns: _,
            probes: _,
            mdns: _,
            metrics,
            controller: ControllerSettings { claim: _, runtime },
            limits,
            state_dir,
            log_level,
        } = self;
        let waits = [
            ("http.https", *https != new.https),
            ("http.redirect", *redirect != new.redirect),
            ("[turn]", *turn != new.turn),
            ("webrtc.listen", *webrtc != new.webrtc),
            ("metrics.listen", *metrics != new.metrics),
            ("box.runtime", *runtime != new.controller.runtime),
            ("[limits]", *limits != new.limits),
            ("state.dir", *state_dir != new.state_dir),
            ("log.level", *log_level != new.log_level),
        ];
        let waiting = waits.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect();
        let now = Self {
            https: https.clone(),
            redirect: redirect.clone(),
            turn: turn.clone(),
            webrtc: webrtc.clone(),
            metrics: metrics.clone(),
            controller: ControllerSettings { runtime: runtime.clone(), ..new.controller },
            limits: *limits,
            state_dir: state_dir.clone(),
            log_level: *log_level,
            ..new
        };
        (now, waiting)
    }
}

//! Chromium, driven by the DevTools protocol. It reads commands from one pipe and writes answers to
//! another.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::process::{PATIENCE, Process, eventually};

/// The lowest contrast of text with its background (WCAG 2, section 1.4.3).
pub(crate) const LOWEST_CONTRAST: &str = "(() => {
    const parts = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => {
        const [r, g, b] = parts(color).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const back = luminance(getComputedStyle(document.body).backgroundColor);
    const contrasts = [...document.querySelectorAll('h1, th, td, a, p, label, b')].map((element) => {
        const text = luminance(getComputedStyle(element).color);
        return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    });
    return Math.min(...contrasts);
})()";

/// A browser with one page.
pub(crate) struct Browser {
    commands: ChildStdin,
    messages: Receiver<Value>,
    next_id: u64,
    /// The session with the page, once there is one.
    session: Option<String>,
    /// What the console has shown since it is watched.
    console: Vec<Value>,
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    pub(crate) fn start() -> Browser {
        let profile = tempdir().expect("a new directory");
        // Chromium reads commands from descriptor 3 and writes to descriptor 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"]);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
        command.args(["--disable-dev-shm-usage", "--no-first-run", "--disable-component-update"]);
        command.args(["--disable-background-networking", "--disable-sync", "--hide-scrollbars"]);
        command.args(["--remote-debugging-pipe", "--host-resolver-rules=MAP *.example 127.0.0.1"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        // It leaves the socket of its profile behind if it is killed.
        command.env("TMPDIR", profile.path());
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (commands, messages) = (process.stdin(), receive(process.stdout()));
        let mut browser = Browser {
            commands,
            messages,
            next_id: 0,
            session: None,
            console: Vec::new(),
            _process: process,
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", target);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser
    }

    /// Calls a method of the protocol and returns its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let message = self.try_call(method, params);
        assert!(message["error"].is_null(), "{method}: {message}");
        message["result"].clone()
    }

    /// Calls a method and returns the message with its result or its error.
    fn try_call(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let mut command = json!({ "id": self.next_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).expect("a browser that reads");
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("an answer");
            if message["id"] == self.next_id {
                return message;
            }
            let shown = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
            if shown.iter().any(|method| message["method"] == **method) {
                self.console.push(message["params"].clone());
            }
        }
    }

    /// Notes from now on what the console shows.
    pub(crate) fn watch_console(&mut self) {
        self.call("Runtime.enable", json!({}));
        self.call("Log.enable", json!({}));
    }

    /// What the console has shown: errors of scripts, and what the browser has to say about the
    /// page.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.console.iter().map(Value::to_string).collect()
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        self.wait_for("true");
    }

    /// The value of an expression of JavaScript, or of the promise that it returns.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let message = self.try_eval(expression);
        let (result, error) = (&message["result"], &message["error"]);
        let is_whole = error.is_null() && result["exceptionDetails"].is_null();
        assert!(is_whole, "{expression}: {message}");
        result["result"]["value"].clone()
    }

    fn try_eval(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.try_call("Runtime.evaluate", params)
    }

    /// Waits until a condition holds on a page that is loaded. It may fail while a page is being
    /// replaced.
    pub(crate) fn wait_for(&mut self, condition: &str) {
        let condition = format!("document.readyState === 'complete' && {condition}");
        eventually(&condition, || {
            (self.try_eval(&condition)["result"]["result"]["value"] == true).then_some(())
        });
    }

    /// Clicks on the middle of an element.
    pub(crate) fn click(&mut self, selector: &str) {
        let node = self.node(selector);
        self.call("DOM.scrollIntoViewIfNeeded", json!({ "nodeId": node }));
        let found = self.call("DOM.getBoxModel", json!({ "nodeId": node }));
        let corner = |at: usize| found["model"]["content"][at].as_f64().expect("a number");
        let (x, y) = (f64::midpoint(corner(0), corner(4)), f64::midpoint(corner(1), corner(5)));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Chooses files in an input for files.
    pub(crate) fn choose(&mut self, selector: &str, files: &[&str]) {
        let node = self.node(selector);
        self.call("DOM.setFileInputFiles", json!({ "nodeId": node, "files": files }));
    }

    /// Drags files onto the page and drops them.
    pub(crate) fn drop(&mut self, files: &[&str]) {
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": kind, "x": 100, "y": 100, "data": data });
            self.call("Input.dispatchDragEvent", event);
        }
    }

    /// Shows pages in this width, light or dark.
    pub(crate) fn set_screen(&mut self, width: u32, scheme: &str) {
        let screen =
            json!({ "width": width, "height": 880, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", screen);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The page as a PNG.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        STANDARD.decode(shot["data"].as_str().expect("an image")).expect("base64")
    }

    fn node(&mut self, selector: &str) -> Value {
        let document = self.call("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
        let query = json!({ "nodeId": document, "selector": selector });
        let node = self.call("DOM.querySelector", query)["nodeId"].clone();
        assert_ne!(node, 0, "{selector}");
        node
    }
}

/// Collects messages, each of which ends with a zero byte.
fn receive(from: impl Read + Send + 'static) -> Receiver<Value> {
    let (tell, told) = channel();
    thread::spawn(move || {
        for message in BufReader::new(from).split(0).map_while(Result::ok) {
            let message = serde_json::from_slice(&message).expect("JSON");
            if tell.send(message).is_err() {
                break;
            }
        }
    });
    told
}

//! Commands that the reactors run for each other: those for keys of another reactor, and those for
//! all items.

use std::mem;

use sluicegate_reactor::{Context, Receive, Sessions, Turn};

use super::cache::Reply;
use super::command::{self, Command, Stats, Words};
use super::counters::Counters;
use super::item::Blob;
use super::peers::{Batch, Message, Task};
use super::server::{MOST_WAITING, Memcached, Session};
use super::statistics;
use super::waiting::Gathered;

impl Memcached {
    /// Runs a command for all items.
    pub(crate) fn run_everywhere(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut Session,
        line: &[u8],
        command: &Command<'_>,
    ) {
        let gathered = match self.run_part(cx, command) {
            Some(counters) => Gathered::Counters(counters),
            None if command.is_silent() => Gathered::Text(""),
            None if matches!(command, Command::FlushAll { .. }) => Gathered::Text("OK\r\n"),
            None => Gathered::Text("RESET\r\n"),
        };
        let place = session.waiting.gather(self.peers.others().count(), gathered);
        for peer in self.peers.others() {
            let to = (cx.id(), place);
            self.peers.ask(cx, peer, to, &[line], Task::Run);
        }
        self.send_complete(cx, session);
    }

    /// Runs a command for the items of this reactor.
    fn run_part(&mut self, cx: &mut Turn, command: &Command<'_>) -> Option<Box<Counters>> {
        match command {
            Command::FlushAll { delay, .. } => {
                self.cache.counters.cmd_flush += 1;
                self.cache.store.flush_at(*delay);
                None
            }
            Command::Stats(Stats::Reset) => {
                self.cache.reset_counters();
                None
            }
            _ => Some(Box::new(statistics::counters(&self.cache, cx))),
        }
    }

    /// Does what another reactor has asked for.
    fn serve(&mut self, cx: &mut Turn, batch: &mut Batch) {
        for request in mem::take(&mut batch.requests) {
            let text = &batch.text[request.text];
            let counters = match request.task {
                Task::Run => self.run_line(cx, text, None),
                Task::Store(len) => {
                    let (line, value) = text.split_at(text.len() - len);
                    self.run_line(cx, line, Some(value))
                }
                Task::StoreLong(value) => self.run_line(cx, text, Some(&value)),
                Task::Remove => {
                    self.cache.remove(text);
                    None
                }
            };
            let Reply { text, value } = &mut self.cache.reply;
            self.peers.answer(batch.from, request.to, text, value.take(), counters);
            text.clear();
        }
    }

    /// Runs a line that another reactor has sent, with the value that it stores.
    fn run_line(
        &mut self,
        cx: &mut Turn,
        line: &[u8],
        value: Option<&[u8]>,
    ) -> Option<Box<Counters>> {
        match command::parse(line) {
            Ok(Command::Get(get)) => {
                let key = Words::new(&line[get.keys..]).next().unwrap_or_default();
                self.cache.get(&get, key);
            }
            Ok(command) => {
                let Some(key) = command.key() else { return self.run_part(cx, &command) };
                let blob = value.map(|value| Blob::copied(key, command.client_flags(), &[value]));
                self.cache.run(&command, blob);
            }
            Err(refused) => self.cache.reply.push(refused.response),
        }
        None
    }

    /// Passes on what another reactor has answered.
    fn pass_on(&mut self, cx: &mut Sessions<'_, Session>, batch: &mut Batch) {
        for answer in mem::take(&mut batch.answers) {
            let (connection, place) = answer.to;
            let Some((mut cx, session)) = cx.get(connection) else { continue };
            let text = &batch.text[answer.text];
            if session.waiting.take_first(place) {
                self.cache.reply.text.extend_from_slice(text);
                self.cache.reply.value = answer.value;
            } else if let Some(counters) = answer.counters {
                session.waiting.add_counters(place, &counters);
            } else {
                let reply = Reply { text: self.spare.copy(text), value: answer.value };
                session.waiting.fill(place, reply);
            }
            self.send_complete(&mut cx, session);
            if session.waiting.len() < MOST_WAITING / 2 {
                self.go_on(&mut cx, session);
            }
        }
    }
}

impl Receive<Message, Session> for Memcached {
    fn on_message(&mut self, cx: &mut Sessions<'_, Session>, message: Message) {
        if let Message::Batch(mut batch) = message {
            self.cache.store.set_now(cx.now().as_secs());
            self.serve(cx, &mut batch);
            self.pass_on(cx, &mut batch);
        }
        self.peers.flush(cx);
    }
}

//! The handlers of a reactor: taking them in, and reaching them from outside.

use crate::handler::{Handler, HandlerId};
use crate::turn::reactor::Reactor;

impl Reactor {
    /// Takes a handler in.
    ///
    /// # Panics
    /// With more than 256 handlers in one reactor.
    pub fn register<H: Handler>(&mut self, handler: H) -> HandlerId<H> {
        self.register_with(|_| handler)
    }

    /// Takes in a handler that is made knowing its own name.
    ///
    /// # Panics
    /// With more than 256 handlers in one reactor.
    pub fn register_with<H: Handler>(
        &mut self,
        make: impl FnOnce(HandlerId<H>) -> H,
    ) -> HandlerId<H> {
        self.handlers.add(make)
    }

    /// Reserves a place for a handler that others have to name before it exists, such as two that
    /// name each other.
    ///
    /// The id can be used like any other, but a reactor with a place that is still empty panics
    /// instead of turning: no connection or message ever meets one.
    ///
    /// ```
    /// # use sluicegate_reactor::{Context, Handler, HandlerId, Input};
    /// # impl Handler for Greeter {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
    /// # }
    /// # impl Handler for Talk {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _: &mut Context<'_>) {}
    /// #     fn on_data(&mut self, _: &mut Context<'_>, _: &mut (), _: &mut Input<'_>) {}
    /// # }
    /// use sluicegate_reactor::Reactor;
    ///
    /// struct Greeter { then: HandlerId<Talk> }
    /// struct Talk { after: HandlerId<Greeter> }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut reactor = Reactor::new()?;
    /// let talk = reactor.reserve::<Talk>();
    /// let greeter = reactor.register(Greeter { then: talk });
    /// reactor.install(talk, Talk { after: greeter });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// With more than 256 handlers in one reactor.
    #[must_use = "the reactor does not run before the handler is installed"]
    pub fn reserve<H: Handler>(&mut self) -> HandlerId<H> {
        self.handlers.reserve()
    }

    /// Puts a handler in the place that was [reserved](Reactor::reserve) for it.
    ///
    /// # Panics
    /// If the place has a handler already, and with an id of another reactor that has more handlers
    /// than this one.
    pub fn install<H: Handler>(&mut self, id: HandlerId<H>, handler: H) {
        self.handlers.install(id, handler);
    }

    /// A registered handler.
    ///
    /// # Panics
    /// With an id of another reactor, and with a reserved one that is not installed.
    pub fn handler<H: Handler>(&mut self, id: HandlerId<H>) -> &mut H {
        self.handlers.get(id)
    }
}

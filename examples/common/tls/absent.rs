//! Stands in for `certificates.rs` in a build without the feature `tls`: no value of the type exists.

use sluicegate_protocols::ops::StatusOptions;
use sluicegate_reactor::transport::Factory;
use sluicegate_reactor::{Address, Server};

use super::super::Failure;
use super::super::reload::Apply;
use super::Tls;

#[derive(Clone)]
pub(crate) enum Certificates {}

impl Certificates {
    pub(super) fn new(
        options: &Tls,
        _: &[String],
        _: &'static [&'static str],
    ) -> Result<Certificates, Failure> {
        let option = if options.tls_self_signed { "--tls-self-signed" } else { "--tls-cert" };
        Err(format!("{option} needs a program with TLS: build it with --features tls").into())
    }

    pub(crate) fn factory(&self) -> Factory<Address> {
        match *self {}
    }

    pub(crate) fn fingerprint(&self) -> Option<String> {
        match *self {}
    }

    pub(crate) fn show(&self, _: &mut StatusOptions) {
        match *self {}
    }

    pub(crate) fn pass_sessions_on(&self, _: &mut Server) {
        match *self {}
    }

    pub(crate) fn reload(&self) -> Result<Apply, Failure> {
        match *self {}
    }
}

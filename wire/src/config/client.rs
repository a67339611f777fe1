//! What a program's session needs to know: from the environment, and from the `properties.json` that applies.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::properties::DEFAULT_LANES;
use super::{ConfigError, Endpoint, Properties, Tenant, Token};
use crate::communicator::emulate::{self, Emulation};

/// The settings of a client.
#[derive(Debug, Clone)]
pub struct Client {
    /// The file that was read; `None` when `GVIRTUS_ENDPOINT` said everything.
    pub file: Option<PathBuf>,
    /// Where the backend is.
    pub endpoint: Endpoint,
    /// Who we are, if we have a token.
    pub identity: Option<Tenant>,
    /// How long to try to connect.
    pub connect_timeout: Duration,
    /// How long to wait for the first words of what listens at the endpoint.
    pub handshake_timeout: Duration,
    /// How long to wait for a session after that: a worker may have to be started first.
    pub session_timeout: Duration,
    /// `GVIRTUS_LANES`, or `lanes`: further connections for large payloads, if the backend has them.
    pub lanes: u8,
    /// `GVIRTUS_CONCURRENT_MANAGED_ACCESS`, or `concurrent_managed_access`: say that processor and GPU may use managed memory at the same time.
    pub concurrent_managed_access: bool,
    /// `GVIRTUS_EMULATE`.
    pub emulation: Option<Emulation>,
    /// What was not understood and is ignored.
    pub warnings: Vec<String>,
}

/// Places where a client's `properties.json` may be, best first. `library` is our own shared library (or program): a configuration may lie in `../etc` beside it.
#[must_use]
fn places(library: Option<&Path>) -> Vec<PathBuf> {
    if let Some(file) = variable("GVIRTUS_CONFIG") {
        return vec![file.into()];
    }
    let home = variable("GVIRTUS_HOME").map(|home| Path::new(&home).join("etc/properties.json"));
    let beside = library
        .and_then(Path::parent)
        .map(|dir| dir.join("../etc/properties.json"));
    home.into_iter()
        .chain(beside)
        .chain([PathBuf::from("/etc/gvirtus/properties.json")])
        .collect()
}

/// The `properties.json` that applies: `GVIRTUS_CONFIG`, `$GVIRTUS_HOME/etc`, `../etc` beside `library`, `/etc/gvirtus`.
///
/// # Errors
/// [`ConfigError::NotFound`], with the places looked at.
pub fn find(library: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let places = places(library);
    // A file that was named and is missing is reported by the one who reads it.
    if variable("GVIRTUS_CONFIG").is_some() {
        return Ok(places.into_iter().next().unwrap_or_default());
    }
    match places.iter().find(|p| p.is_file()) {
        Some(file) => Ok(file.clone()),
        None => Err(ConfigError::NotFound { looked: places }),
    }
}

/// A `GVIRTUS_HOME` that holds no configuration, in words: one that lies elsewhere applies then.
#[must_use]
pub fn overlooked_home() -> Option<String> {
    let home = variable("GVIRTUS_HOME")?;
    let overlooked = variable("GVIRTUS_CONFIG").is_none()
        && variable("GVIRTUS_ENDPOINT").is_none()
        && !Path::new(&home).join("etc/properties.json").is_file();
    overlooked.then(|| {
        format!(
            "GVIRTUS_HOME={home:?} has no etc/properties.json; the configuration is another one"
        )
    })
}

/// Finds and reads the settings of this process. The environment wins: `GVIRTUS_ENDPOINT`, `GVIRTUS_TENANT`, `GVIRTUS_TOKEN` or `GVIRTUS_TOKEN_FILE`, `GVIRTUS_LANES`, `GVIRTUS_EMULATE`.
///
/// # Errors
/// [`ConfigError`]: nothing found, or not understood.
pub fn client(library: Option<&Path>) -> Result<Client, ConfigError> {
    client_from(None, library)
}

/// As [`client`], with a file that was named (on a command line) instead of searched for.
///
/// # Errors
/// As [`client`].
pub fn client_from(file: Option<&Path>, library: Option<&Path>) -> Result<Client, ConfigError> {
    let endpoint = variable("GVIRTUS_ENDPOINT")
        .map(|text| {
            text.parse::<Endpoint>()
                .map_err(|message| ConfigError::Environment {
                    variable: "GVIRTUS_ENDPOINT",
                    value: text,
                    message,
                })
        })
        .transpose()?;
    let found = match file {
        Some(file) => Ok(file.to_owned()),
        None => find(library),
    };
    let properties = match found {
        Ok(file) => Some(Properties::read(&file)?),
        // With an endpoint from the environment there need not be a file.
        Err(ConfigError::NotFound { .. }) if endpoint.is_some() => None,
        Err(e) => return Err(e),
    };
    let mut warnings: Vec<_> = match file {
        Some(_) => Vec::new(),
        None => overlooked_home().into_iter().collect(),
    };
    let mut identity = None;
    let mut from_file = None;
    // A daemon waits up to a minute for a cold worker; the client's patience covers it.
    let mut timeouts = (
        Duration::from_secs(10),
        Duration::from_secs(10),
        Duration::from_secs(60),
    );
    if let Some(properties) = &properties {
        warnings.extend_from_slice(&properties.warnings);
        identity.clone_from(&properties.identity);
        from_file = nearest(&properties.endpoints);
        timeouts = (
            properties.connect_timeout,
            properties.handshake_timeout,
            properties.worker_timeout,
        );
    }
    let Some(endpoint) = endpoint.or(from_file) else {
        return Err(ConfigError::NotFound {
            looked: places(library),
        });
    };
    if let Some(token) = token()? {
        identity = Some(Tenant {
            name: identity.map_or_else(|| "default".into(), |i| i.name),
            token,
        });
    }
    if let Some(name) = variable("GVIRTUS_TENANT") {
        let known = properties
            .iter()
            .flat_map(|p| &p.tenants)
            .find(|t| t.name == name);
        match &mut identity {
            Some(identity) => identity.name = name,
            None if known.is_some() => identity = known.cloned(),
            None => warnings.push(format!(
                "GVIRTUS_TENANT={name:?} without a token: set GVIRTUS_TOKEN_FILE or token_file"
            )),
        }
    }
    let emulation = variable(emulate::VARIABLE)
        .map(|text| {
            text.parse()
                .map_err(|e: emulate::EmulationError| ConfigError::Environment {
                    variable: emulate::VARIABLE,
                    value: text,
                    message: e.to_string(),
                })
        })
        .transpose()?;
    let lanes = match lanes_variable()? {
        Some(lanes) => lanes,
        None => properties.as_ref().map_or(DEFAULT_LANES, |p| p.lanes),
    };
    let concurrent_managed_access = match switch("GVIRTUS_CONCURRENT_MANAGED_ACCESS")? {
        Some(said) => said,
        None => properties
            .as_ref()
            .is_some_and(|p| p.concurrent_managed_access),
    };
    Ok(Client {
        file: properties.map(|p| p.file),
        endpoint,
        identity,
        connect_timeout: timeouts.0,
        handshake_timeout: timeouts.1,
        session_timeout: timeouts.1 + timeouts.2,
        lanes,
        concurrent_managed_access,
        emulation,
        warnings,
    })
}

/// The first endpoint that can be one of this host's: a socket that is not there is another host's.
fn nearest(endpoints: &[Endpoint]) -> Option<Endpoint> {
    let here = |endpoint: &&Endpoint| endpoint.path.as_ref().is_none_or(|path| path.exists());
    endpoints
        .iter()
        .find(here)
        .or_else(|| endpoints.first())
        .cloned()
}

fn token() -> Result<Option<Token>, ConfigError> {
    if let Some(token) = variable("GVIRTUS_TOKEN") {
        return Ok(Some(Token::new(token.trim())));
    }
    let Some(path) = variable("GVIRTUS_TOKEN_FILE") else {
        return Ok(None);
    };
    match Token::read(Path::new(&path)) {
        Ok(token) => Ok(Some(token)),
        Err(e) => Err(ConfigError::Environment {
            variable: "GVIRTUS_TOKEN_FILE",
            message: e.to_string(),
            value: path,
        }),
    }
}

/// Lanes of a session where no file says anything: `GVIRTUS_LANES`, or the default.
///
/// # Errors
/// [`ConfigError`] for a variable that is no such number.
pub fn lanes() -> Result<u8, ConfigError> {
    Ok(lanes_variable()?.unwrap_or(DEFAULT_LANES))
}

/// Whether memory that stays as it is is to be lent to the lanes: only if `GVIRTUS_LEND` says so, since copies were faster where both were measured.
///
/// # Errors
/// [`ConfigError`] for a variable that is neither 0 nor 1.
pub fn lends() -> Result<bool, ConfigError> {
    Ok(switch("GVIRTUS_LEND")?.unwrap_or(false))
}

/// A variable that is 1 or 0, if it is set.
fn switch(name: &'static str) -> Result<Option<bool>, ConfigError> {
    switch_by(name, variable(name))
}

fn switch_by(name: &'static str, said: Option<String>) -> Result<Option<bool>, ConfigError> {
    match said.as_deref().map(str::trim) {
        None => Ok(None),
        Some("0") => Ok(Some(false)),
        Some("1") => Ok(Some(true)),
        Some(text) => Err(ConfigError::Environment {
            variable: name,
            message: "accepted: 0 and 1".to_owned(),
            value: text.to_owned(),
        }),
    }
}

fn lanes_variable() -> Result<Option<u8>, ConfigError> {
    let Some(text) = variable("GVIRTUS_LANES") else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(lanes) if usize::from(lanes) <= crate::lanes::MOST => Ok(Some(lanes)),
        _ => Err(ConfigError::Environment {
            variable: "GVIRTUS_LANES",
            message: format!("accepted: 0 to {}", crate::lanes::MOST),
            value: text,
        }),
    }
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var_os(name)
        .filter(|v| !v.is_empty())
        .map(|v| v.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_0_or_1() {
        for (said, means) in [
            (None, None),
            (Some("0"), Some(false)),
            (Some(" 1"), Some(true)),
        ] {
            assert_eq!(switch_by("X", said.map(str::to_owned)).ok(), Some(means));
        }
        assert!(switch_by("X", Some("yes".to_owned())).is_err());
    }
}

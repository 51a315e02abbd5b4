//! A Postgres with TLS on its own port, three shards on it, and valid and invalid certificates.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use postgres::Client;
use rcgen::SigningKey as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use ringshard::local::PrivateServer;
use x509_cert::der::asn1::BitString;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode as _, Encode as _, EncodePem as _};

use super::harness::{BINARY, Ran, connect, private_server};
use super::rings::owner;

/// What a role of the server may do: its name is its rule in `pg_hba.conf`.
const RULES: &str = "
local all all trust
host all either all trust
hostssl all tls_only all trust
hostnossl all plain_only all trust
hostssl all with_certificate all cert
hostssl all with_password all scram-sha-256
hostnossl all nobody_else all reject
";

pub(crate) const PASSWORD: &str = "hunter2";

pub(crate) struct Server {
    private: PrivateServer,
    pub(crate) port: u16,
    /// Holds the configuration of the cluster, and the files of TLS.
    pub(crate) folder: PathBuf,
    _watched: ChildStdin,
}

static SERVER: LazyLock<Server> = LazyLock::new(start);
/// Held for reading while the server must keep its certificate, for writing to change it.
static CERTIFICATE: RwLock<()> = RwLock::new(());

impl Server {
    /// The server with the certificate of an authority.
    pub(crate) fn get() -> (&'static Self, RwLockReadGuard<'static, ()>) {
        (&SERVER, CERTIFICATE.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same for one test alone, which may change the server's certificate.
    pub(crate) fn get_alone() -> (&'static Self, RwLockWriteGuard<'static, ()>) {
        (&SERVER, CERTIFICATE.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub(crate) fn socket_dir(&self) -> String {
        self.private.socket_dir().display().to_string()
    }

    pub(crate) fn admin(&self) -> Client {
        let mut config = postgres::Config::new();
        config.host_path(self.private.socket_dir()).port(self.port).user("postgres").dbname("postgres");
        config.connect(postgres::NoTls).unwrap()
    }

    /// Uses another certificate from now on, or none.
    pub(crate) fn show(&self, certificate: Option<&str>) {
        if let Some(name) = certificate {
            self.install(&format!("{name}.crt"), "server.crt");
            self.install(&format!("{name}.key"), "server.key");
        }
        self.set("ssl", if certificate.is_some() { "on" } else { "off" });
    }

    /// Allows no newer version of TLS from now on.
    pub(crate) fn limit(&self, newest: &str) {
        self.set("ssl_max_protocol_version", newest);
    }

    fn set(&self, setting: &str, value: &str) {
        let before = self.loaded_at();
        let mut admin = self.admin();
        admin.batch_execute(&format!("ALTER SYSTEM SET {setting} = '{value}'")).unwrap();
        admin.execute("SELECT pg_reload_conf()", &[]).unwrap();
        // A new session shows the load time of the postmaster, which reads its certificate then.
        while self.loaded_at() == before {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    fn loaded_at(&self) -> String {
        self.admin().query_one("SELECT pg_conf_load_time()::text", &[]).unwrap().get(0)
    }

    fn install(&self, from: &str, to: &str) {
        install(self.private.data(), &self.folder.join(from), to);
    }

    /// The database that holds the user `1`, at a host as it is written in a URL.
    pub(crate) fn url(&self, user: &str, host: &str, query: &str) -> String {
        format!("postgresql://{user}@{host}:{}/shard_{}?{query}", self.port, owner(1))
    }

    /// Reads the user `1` through this URL; with what else the environment holds.
    pub(crate) fn read(&self, url: &str, environment: &[(&str, &str)]) -> Outcome {
        let mut command = self.command();
        command.env("RINGSHARD_SHARDS", format!("shard_{}={url}", owner(1)));
        command.envs(environment.iter().copied()).args(["get-user", "1", "-v"]);
        let child = command.spawn().unwrap();
        let name = format!("application_name=ringshard {}.", child.id());
        let ran = Ran::of(child);
        let log = fs::read_to_string(self.folder.join("tls.log")).unwrap();
        let authorized =
            log.lines().filter(|line| line.contains("connection authorized") && line.contains(&name));
        let tls = authorized.map(|line| line.contains("SSL enabled")).next_back();
        Outcome { ran, tls }
    }

    /// The program with the cluster of this server, and a home folder that is empty.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.env_clear().env("RINGSHARD_HOME", &self.folder).env("HOME", self.folder.join("empty"));
        command.env("RINGSHARD_CONNECT_TIMEOUT_MS", "20000");
        command.current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// The result of the program, and whether the server saw TLS; none if no login succeeded.
pub(crate) struct Outcome {
    pub(crate) ran: Ran,
    pub(crate) tls: Option<bool>,
}

impl Outcome {
    /// The exit code, and whether there was TLS.
    #[track_caller]
    pub(crate) fn is(self, code: i32, tls: impl Into<Option<bool>>) -> Ran {
        assert_eq!((self.ran.code, self.tls), (code, tls.into()), "{:?}", self.ran);
        self.ran
    }
}

/// Installs a file that only the server's user may read.
fn install(data: &Path, from: &Path, to: &str) {
    let (fresh, to) = (data.join("fresh"), data.join(to));
    fs::copy(from, &fresh).unwrap();
    fs::set_permissions(&fresh, Permissions::from_mode(0o600)).unwrap();
    let found = fs::metadata(data).unwrap();
    chown(&fresh, Some(found.uid()), Some(found.gid())).unwrap();
    fs::rename(fresh, to).unwrap();
}

fn start() -> Server {
    let (private, watched) = private_server("rst");
    let (data, folder) = (private.data(), private.home().to_path_buf());
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let started_by = fs::read_to_string(data.join("postmaster.opts")).unwrap();
    let pg_ctl = Path::new(started_by.split(' ').next().unwrap()).with_file_name("pg_ctl");
    let roles = "CREATE ROLE either LOGIN SUPERUSER; CREATE ROLE tls_only LOGIN SUPERUSER; \
                 CREATE ROLE plain_only LOGIN SUPERUSER; CREATE ROLE with_certificate LOGIN SUPERUSER; \
                 CREATE ROLE with_password LOGIN SUPERUSER PASSWORD 'hunter2'";
    connect(&private, "postgres").batch_execute(roles).unwrap();
    private.stop().unwrap();

    make_certificates(&folder);
    fs::create_dir(folder.join("empty")).unwrap();
    for (from, to) in [("server.crt", "server.crt"), ("server.key", "server.key"), ("root.crt", "root.crt")] {
        install(data, &folder.join(from), to);
    }
    fs::write(data.join("pg_hba.conf"), RULES).unwrap();
    let settings = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    let more = "listen_addresses = '127.0.0.1'\nssl = on\nssl_ca_file = 'root.crt'\nlog_connections = on\n\
                log_line_prefix = '%a '\n";
    fs::write(data.join("postgresql.conf"), format!("{settings}\n{more}")).unwrap();

    let log = folder.join("tls.log");
    fs::write(&log, "").unwrap();
    let owner = fs::metadata(data).unwrap();
    chown(&log, Some(owner.uid()), Some(owner.gid())).unwrap();
    // Another process may take the port meanwhile: then another one is tried.
    let port = (0..10)
        .find_map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new(&pg_ctl);
            command.args(["start", "-w", "-s", "-D"]).arg(data).arg("-l").arg(&log).arg("-o");
            command.arg(format!("-p {port} -k {}", private.socket_dir().display()));
            if rustix::process::geteuid().is_root() {
                command.uid(owner.uid()).gid(owner.gid());
            }
            command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().unwrap().success().then_some(port)
        })
        .unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap()));
    let server = Server { private, port, folder, _watched: watched };

    // Initialises the cluster over verified TLS.
    let url = format!(
        "postgresql://tls_only@localhost:{port}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}",
        server.file("root.crt")
    );
    for words in [&["init-shards", "--server", &url][..], &["create-user", "--id", "1", "--name", "x"]] {
        Ran::of(server.command().args(words).spawn().unwrap()).success();
    }
    server
}

/// A certificate authority.
type Authority = Issuer<'static, KeyPair>;

fn authority(name: &str, above: Option<&Authority>) -> (Authority, String) {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = match above {
        Some(above) => params.signed_by(&key, above).unwrap().pem(),
        None => params.self_signed(&key).unwrap().pem(),
    };
    (Issuer::new(params, key), pem)
}

fn for_server(name: &str, alternatives: &[&str]) -> CertificateParams {
    let alternatives: Vec<String> = alternatives.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(alternatives).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// Writes all certificates and keys of the tests into this folder.
fn make_certificates(folder: &Path) {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    };
    let (root, root_pem) = authority("root", None);
    let (middle, middle_pem) = authority("intermediate", Some(&root));
    let (_, other_pem) = authority("other", None);
    // The same name, another key.
    let (_, impostor_pem) = authority("root", None);
    // The server sends its own certificate and the intermediate one; the client has the root.
    let signed = |name: &str, params: &CertificateParams| {
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &middle).unwrap().pem();
        write(&format!("{name}.crt"), format!("{pem}{middle_pem}"));
        write(&format!("{name}.key"), key.serialize_pem());
    };
    signed("server", &for_server("server", &["localhost", "127.0.0.1"]));
    // As 18.9.5 of Postgres's documentation makes them with OpenSSL up to 3.1.
    let version_1 = |name: &str, params: &CertificateParams| {
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &root).unwrap();
        let mut made = x509_cert::Certificate::from_der(made.der()).unwrap();
        made.tbs_certificate.version = x509_cert::Version::V1;
        made.tbs_certificate.extensions = None;
        let signature = root.key().sign(&made.tbs_certificate.to_der().unwrap()).unwrap();
        made.signature = BitString::from_bytes(&signature).unwrap();
        write(&format!("{name}.crt"), made.to_pem(LineEnding::LF).unwrap());
        write(&format!("{name}.key"), key.serialize_pem());
    };
    version_1("version_1", &for_server("localhost", &[]));
    version_1("client_version_1", &for_server("with_certificate", &[]));
    signed("common_name", &for_server("localhost", &[]));
    let mut expired = for_server("server", &["localhost"]);
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    signed("expired", &expired);
    let mut client = CertificateParams::new([]).unwrap();
    client.distinguished_name.push(DnType::CommonName, "with_certificate");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    signed("client", &client);
    // As `openssl req -x509` makes one: an authority of its own.
    for (name, expires) in [("self_signed", 2090), ("self_signed_expired", 2021)] {
        let mut params = for_server("localhost", &["localhost"]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(expires, 1, 1));
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.crt"), params.self_signed(&key).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    write("root.crt", root_pem);
    write("other.crt", other_pem);
    write("impostor.crt", impostor_pem);
}

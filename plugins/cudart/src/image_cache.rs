//! Images of modules on disk, by the hash of their content: an image travels to a box once, and later sessions only name it.
//!
//! Each session has a worker process of its own, so what they share is a directory; the kernel keeps in memory what is used often. A tenant's images are in a directory of
//! their own: by asking for a hash a session learns no more than whether its own tenant has used that image here. Nothing in a file is believed before its hash is found
//! to be right, so a file that was cut off or changed is as good as none, and is removed. Files appear whole, by renaming, and the least recently used go when all together
//! are too large.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Smaller images travel each time: naming them first would cost as much.
pub(crate) const SMALLEST: u64 = gvirtus_wire::image::SMALLEST_CACHED;
/// What a file is called while it is written, and how long it may be called so.
const UNFINISHED: &str = "tmp-";
const ABANDONED: Duration = Duration::from_secs(3600);

/// Where images are kept, as the worker is told.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Settings {
    /// The directory.
    pub(crate) dir: PathBuf,
    /// The most bytes of all files together.
    pub(crate) bytes: u64,
}

/// The images that one session may use.
#[derive(Debug)]
pub(crate) struct ImageCache {
    root: PathBuf,
    own: PathBuf,
    limit: u64,
}

impl ImageCache {
    /// The cache of a tenant (nobody in particular where there are none).
    ///
    /// # Errors
    /// A directory that cannot be made, or that others than this user could write to.
    pub(crate) fn open(settings: &Settings, tenant: &[u8]) -> io::Result<Self> {
        let own = settings.dir.join(match tenant {
            [] => "everybody".to_owned(),
            tenant => format!("tenant-{}", hex(&Sha256::digest(tenant))),
        });
        for directory in [&settings.dir, &own] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
            let found = fs::symlink_metadata(directory)?;
            let ours = found.uid() == rustix::process::geteuid().as_raw();
            if !found.is_dir() || !ours || found.mode() & 0o022 != 0 {
                return Err(io::Error::other(format!(
                    "{} is not a directory that this user alone can write to",
                    directory.display()
                )));
            }
        }
        Ok(Self {
            root: settings.dir.clone(),
            own,
            limit: settings.bytes,
        })
    }

    fn path(&self, hash: &[u8; 32]) -> PathBuf {
        self.own.join(hex(hash))
    }

    /// The image of that hash and length, if it is here and what it should be; `padding` bytes of zeros follow it.
    pub(crate) fn get(&self, hash: &[u8; 32], len: u64, padding: usize) -> Option<Vec<u8>> {
        let path = self.path(hash);
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        let file = match opened {
            Ok(file) => Some(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => None,
        };
        let image = file
            .as_ref()
            .and_then(|file| read(file, len, padding))
            .filter(|image| Sha256::digest(&image[..image.len() - padding]).as_slice() == hash);
        match (&file, &image) {
            // It was used: it is not the next to go.
            (Some(file), Some(_)) => drop(file.set_modified(SystemTime::now())),
            // Of no use to anybody.
            _ => drop(fs::remove_file(&path)),
        }
        image
    }

    /// Keeps an image whose hash is known to be right. Failing that is nobody's trouble: the next session sends it again.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn put(&self, hash: &[u8; 32], image: &[u8]) -> io::Result<()> {
        let path = self.path(hash);
        if (image.len() as u64) < SMALLEST || image.len() as u64 > self.limit || path.exists() {
            return Ok(());
        }
        self.make_room(image.len() as u64);
        let unfinished = self
            .own
            .join(format!("{UNFINISHED}{}-{}", std::process::id(), hex(hash)));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(image))
            .and_then(|()| fs::rename(&unfinished, &path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })
    }

    /// Removes what was used least recently until so many bytes fit, and what was never finished.
    fn make_room(&self, bytes: u64) {
        let mut files = Vec::new();
        for directory in entries(&self.root) {
            for path in entries(&directory) {
                let Ok(found) = fs::symlink_metadata(&path) else {
                    continue;
                };
                let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let unfinished = path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
                if unfinished && used.elapsed().is_ok_and(|age| age > ABANDONED) {
                    let _ = fs::remove_file(&path);
                } else {
                    files.push((used, found.len(), path));
                }
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if total.saturating_add(bytes) <= self.limit {
                break;
            }
            let _ = fs::remove_file(path);
            total -= len;
        }
    }
}

/// All of a file, if it has `len` bytes.
fn read(file: &File, len: u64, padding: usize) -> Option<Vec<u8>> {
    let found = file.metadata().ok()?;
    if !found.is_file() || found.len() != len {
        return None;
    }
    let len = usize::try_from(len).ok()?;
    let mut image = Vec::new();
    image.try_reserve_exact(len.checked_add(padding)?).ok()?;
    file.take(len as u64).read_to_end(&mut image).ok()?;
    if image.len() != len {
        return None;
    }
    image.resize(len + padding, 0);
    Some(image)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PADDING: usize = 16;

    fn cache(dir: &Path, bytes: u64, tenant: &[u8]) -> ImageCache {
        let settings = Settings {
            dir: dir.join("cache"),
            bytes,
        };
        ImageCache::open(&settings, tenant).expect("a fresh directory")
    }

    fn image(seed: u8, len: u64) -> (Vec<u8>, [u8; 32]) {
        let image: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(seed)).collect();
        let hash = Sha256::digest(&image).into();
        (image, hash)
    }

    #[test]
    fn an_image_comes_back_to_its_tenant_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let alice = cache(dir.path(), 1 << 30, b"alice");
        let (bytes, hash) = image(3, SMALLEST);
        assert_eq!(alice.get(&hash, SMALLEST, PADDING), None);
        alice.put(&hash, &bytes).expect("it is kept");
        let again = cache(dir.path(), 1 << 30, b"alice");
        let back = again.get(&hash, SMALLEST, PADDING).expect("it is there");
        assert_eq!(back[..bytes.len()], bytes);
        assert_eq!(back[bytes.len()..], [0; PADDING]);
        for other in [&b"bob"[..], b""] {
            let other = cache(dir.path(), 1 << 30, other);
            assert_eq!(other.get(&hash, SMALLEST, PADDING), None);
        }
        // A wrong length is a wrong image, and does no harm to the right one's owner but that it travels again.
        assert_eq!(again.get(&hash, SMALLEST + 1, PADDING), None);
    }

    #[test]
    fn what_was_cut_off_or_changed_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), 1 << 30, b"");
        let (bytes, hash) = image(5, SMALLEST + 7);
        let len = bytes.len() as u64;
        for spoil in [
            |path: &Path, mut bytes: Vec<u8>| {
                bytes[100] ^= 1;
                fs::write(path, bytes)
            },
            |path: &Path, bytes: Vec<u8>| fs::write(path, &bytes[..bytes.len() / 2]),
            |path: &Path, bytes: Vec<u8>| fs::write(path, vec![0; bytes.len()]),
            |path: &Path, _| {
                fs::remove_file(path)?;
                std::os::unix::fs::symlink("/dev/zero", path)
            },
        ] {
            cache.put(&hash, &bytes).expect("it is kept");
            assert!(cache.get(&hash, len, 0).is_some());
            spoil(&cache.path(&hash), bytes.clone()).expect("spoiled");
            assert_eq!(cache.get(&hash, len, 0), None);
            let _ = fs::remove_file(cache.path(&hash));
            assert_eq!(cache.get(&hash, len, 0), None);
        }
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), 3 * SMALLEST, b"");
        let images: Vec<_> = (1..=5).map(|seed| image(seed * 2 + 1, SMALLEST)).collect();
        for (bytes, hash) in &images[..3] {
            cache.put(hash, bytes).expect("it is kept");
            std::thread::sleep(Duration::from_millis(20));
        }
        // The first is used, so the second goes.
        assert!(cache.get(&images[0].1, SMALLEST, 0).is_some());
        std::thread::sleep(Duration::from_millis(20));
        cache.put(&images[3].1, &images[3].0).expect("it is kept");
        let here: Vec<_> = images
            .iter()
            .map(|(_, hash)| cache.path(hash).exists())
            .collect();
        assert_eq!(here, [true, false, true, true, false]);
        // Larger than all together: not kept, and nothing goes for it.
        let (bytes, hash) = image(101, 4 * SMALLEST);
        cache.put(&hash, &bytes).expect("left out");
        assert!(!cache.path(&hash).exists() && cache.path(&images[0].1).exists());
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let open = dir.path().join("open");
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("set");
        let settings = Settings {
            dir: open,
            bytes: 1 << 30,
        };
        assert!(ImageCache::open(&settings, b"").is_err());
    }

    #[test]
    fn small_images_are_not_worth_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = cache(dir.path(), 1 << 30, b"");
        let (bytes, hash) = image(9, SMALLEST - 1);
        cache.put(&hash, &bytes).expect("left out");
        assert!(!cache.path(&hash).exists());
    }
}

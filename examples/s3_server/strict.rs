//! What s3s-fs leaves out and a backup leans on. It keeps objects well, but (0.14) it
//!
//! - writes a PUT first and compares its checksum afterwards, so a refused object stays;
//! - takes parts without looking at their checksums, and a part list without looking at its ETags (parts are kept by
//!   [`Parts`]);
//! - takes writes to buckets that do not exist, and makes them;
//! - tests `If-None-Match` and writes in two steps, between which another writer fits;
//! - calls an unknown upload "access denied", and cannot list open uploads;
//! - knows no composite checksum, and names no ETag in a listing.
//!
//! This layer adds these as S3 has them. Bodies are checked in memory. Open uploads and checksums are gone after a restart.

use super::parts::{Parts, base64, hash, small_e_tag};
use super::policy;
use pgseal::format::hex;
use s3s::checksum::ChecksumHasher;
use s3s::dto::*;
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::sync::Mutex;
use std::time::SystemTime;

const MIN_PART: usize = 5 * 1024 * 1024;
const MAX_BODY: usize = 5 * 1024 * 1024 * 1024;

pub struct Strict {
    files: FileSystem,
    root: PathBuf,
    uploads: Mutex<BTreeMap<String, Upload>>,
    /// Bucket and key to the checksum of an object's parts' checksums.
    composites: Mutex<HashMap<(String, String), String>>,
    /// Whose writes no policy limits.
    owner: Option<String>,
    /// Held from the test of `If-None-Match` to the end of the write.
    commit: tokio::sync::Mutex<()>,
}

struct Upload {
    bucket: String,
    key: String,
    initiated: SystemTime,
    checksum_algorithm: Option<ChecksumAlgorithm>,
    parts: BTreeMap<PartNumber, StoredPart>,
}

struct StoredPart {
    size: usize,
    e_tag: Option<ETag>,
    sha256: [u8; 32],
}

impl Strict {
    pub fn new(root: impl AsRef<Path>, owner: Option<&str>) -> io::Result<Self> {
        let root = root.as_ref().to_owned();
        let files = FileSystem::new(&root).map_err(|error| io::Error::other(format!("{}: {error:?}", root.display())))?;
        Ok(Self {
            files,
            root,
            uploads: Mutex::default(),
            composites: Mutex::default(),
            owner: owner.map(str::to_owned),
            commit: Default::default(),
        })
    }

    fn bucket_exists(&self, bucket: &str) -> S3Result<()> {
        if self.root.join(bucket).is_dir() {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }

    /// The file of an object, which lies in its bucket whatever the key says.
    fn path(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let inside = Path::new(key).components().all(|part| matches!(part, Component::Normal(_)));
        if inside {
            Ok(self.root.join(bucket).join(key))
        } else {
            Err(s3_error!(InvalidArgument, "the key is no path within the bucket"))
        }
    }

    /// Looks at one open upload; `NoSuchUpload` where there is none of this id for this bucket and key.
    fn with_upload<T>(&self, id: &str, bucket: &str, key: &str, look: impl FnOnce(&mut Upload) -> T) -> S3Result<T> {
        let mut uploads = self.uploads.lock().expect("no holder panics");
        let upload = uploads.get_mut(id).filter(|upload| upload.bucket == bucket && upload.key == key);
        upload.map(look).ok_or_else(|| s3_error!(NoSuchUpload))
    }

    fn composite(&self, bucket: &str, key: &str) -> Option<String> {
        self.composites
            .lock()
            .expect("no holder panics")
            .get(&(bucket.to_owned(), key.to_owned()))
            .cloned()
    }

    fn set_composite(&self, bucket: &str, key: &str, checksum: Option<String>) {
        let mut composites = self.composites.lock().expect("no holder panics");
        match checksum {
            Some(checksum) => composites.insert((bucket.to_owned(), key.to_owned()), checksum),
            None => composites.remove(&(bucket.to_owned(), key.to_owned())),
        };
    }
}

/// What `#[async_trait]` would write; s3s does not hand that macro on.
macro_rules! operations {
    ($(fn $name:ident($self:ident, $request:ident: $Input:ty) -> $Output:ty $body:block)*) => {$(
        fn $name<'s, 'a>(
            &'s $self,
            $request: S3Request<$Input>,
        ) -> Pin<Box<dyn Future<Output = S3Result<S3Response<$Output>>> + Send + 'a>>
        where
            's: 'a,
            Self: 'a,
        {
            Box::pin(async move { $body })
        }
    )*};
}

impl S3 for Strict {
    operations! {
        fn create_bucket(self, request: CreateBucketInput) -> CreateBucketOutput {
            self.files.create_bucket(request).await
        }

        fn head_bucket(self, request: HeadBucketInput) -> HeadBucketOutput {
            self.files.head_bucket(request).await
        }

        fn get_bucket_location(self, request: GetBucketLocationInput) -> GetBucketLocationOutput {
            self.files.get_bucket_location(request).await
        }

        fn list_objects_v2(self, request: ListObjectsV2Input) -> ListObjectsV2Output {
            let bucket = request.input.bucket.clone();
            let mut response = self.files.list_objects_v2(request).await?;
            for object in response.output.contents.iter_mut().flatten() {
                let key = object.key.as_deref().filter(|key| self.composite(&bucket, key).is_none());
                object.e_tag = key.and_then(|key| small_e_tag(&self.path(&bucket, key).ok()?));
            }
            Ok(response)
        }

        fn delete_object(self, request: DeleteObjectInput) -> DeleteObjectOutput {
            self.set_composite(&request.input.bucket, &request.input.key, None);
            self.files.delete_object(request).await
        }

        fn head_object(self, request: HeadObjectInput) -> HeadObjectOutput {
            let composite = request.input.checksum_mode.as_ref()
                .and_then(|_| self.composite(&request.input.bucket, &request.input.key));
            let mut response = self.files.head_object(request).await?;
            if composite.is_some() {
                response.output.checksum_sha256 = composite;
                response.output.checksum_type = Some(ChecksumType::COMPOSITE.to_owned().into());
            }
            Ok(response)
        }

        fn get_object(self, request: GetObjectInput) -> GetObjectOutput {
            self.bucket_exists(&request.input.bucket)?;
            let composite = request.input.checksum_mode.as_ref()
                .and_then(|_| self.composite(&request.input.bucket, &request.input.key));
            let mut response = self.files.get_object(request).await?;
            if composite.is_some() {
                response.output.checksum_sha256 = composite;
                response.output.checksum_type = Some(ChecksumType::COMPOSITE.to_owned().into());
            }
            Ok(response)
        }

        fn put_object(self, request: PutObjectInput) -> PutObjectOutput {
            self.bucket_exists(&request.input.bucket)?;
            let mut request = request;
            let input = &mut request.input;
            policy::admits(self.owner.as_deref(), request.credentials.as_ref(), input.if_none_match.is_some())?;
            let bytes = whole(input.body.take()).await?;
            let given = [&input.checksum_crc32, &input.checksum_crc32c, &input.checksum_sha1, &input.checksum_sha256,
                &input.checksum_crc64nvme].map(Clone::clone);
            check(&bytes, given, request.trailing_headers.as_ref())?;
            input.body = Some(StreamingBlob::from(Body::from(bytes)));

            let _alone = self.commit.lock().await;
            self.set_composite(&request.input.bucket, &request.input.key, None);
            self.files.put_object(request).await
        }

        fn create_multipart_upload(self, request: CreateMultipartUploadInput) -> CreateMultipartUploadOutput {
            self.bucket_exists(&request.input.bucket)?;
            let upload = Upload {
                bucket: request.input.bucket.clone(),
                key: request.input.key.clone(),
                initiated: SystemTime::now(),
                checksum_algorithm: request.input.checksum_algorithm.clone(),
                parts: BTreeMap::new(),
            };
            let mut response = self.files.create_multipart_upload(request).await?;
            response.output.checksum_algorithm = upload.checksum_algorithm.clone();
            let id = response.output.upload_id.clone().ok_or_else(|| s3_error!(InternalError))?;
            self.uploads.lock().expect("no holder panics").insert(id, upload);
            Ok(response)
        }

        fn upload_part(self, request: UploadPartInput) -> UploadPartOutput {
            let mut request = request;
            let input = &mut request.input;
            let (id, bucket, key) = (input.upload_id.clone(), input.bucket.clone(), input.key.clone());
            let number = input.part_number;
            let wants_sha256 = self.with_upload(&id, &bucket, &key, |upload| is_sha256(upload))?;
            let bytes = whole(input.body.take()).await?;
            let given = [&input.checksum_crc32, &input.checksum_crc32c, &input.checksum_sha1, &input.checksum_sha256,
                &input.checksum_crc64nvme].map(Clone::clone);
            if wants_sha256 && given[3].is_none() && request.trailing_headers.is_none() {
                return Err(s3_error!(InvalidRequest, "the upload was created with SHA256: each part needs its own"));
            }
            if !(1..=10_000).contains(&number) {
                return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
            }
            let parts = Parts::new(&self.root, &id);
            let trailers = request.trailing_headers;
            let (size, sha256) = blocking(move || {
                let sha256 = check(&bytes, given, trailers.as_ref())?.unwrap_or_else(|| hash(&bytes));
                parts.write(number, &bytes).map_err(S3Error::internal_error)?;
                Ok((bytes.len(), sha256))
            }).await?;
            let e_tag = ETag::Strong(hex(&sha256[..16]));
            let part = StoredPart { size, e_tag: Some(e_tag.clone()), sha256 };
            self.with_upload(&id, &bucket, &key, |upload| upload.parts.insert(number, part))?;
            Ok(S3Response::new(UploadPartOutput {
                e_tag: Some(e_tag),
                checksum_sha256: wants_sha256.then(|| base64(&sha256)),
                ..Default::default()
            }))
        }

        fn list_parts(self, request: ListPartsInput) -> ListPartsOutput {
            self.with_upload(&request.input.upload_id, &request.input.bucket, &request.input.key, |_| ())?;
            self.files.list_parts(request).await
        }

        fn complete_multipart_upload(self, request: CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput {
            let input = &request.input;
            policy::admits(self.owner.as_deref(), request.credentials.as_ref(), input.if_none_match.is_some())?;
            let (id, bucket, key) = (input.upload_id.clone(), input.bucket.clone(), input.key.clone());
            let named = input.multipart_upload.as_ref().and_then(|list| list.parts.clone()).unwrap_or_default();

            let _alone = self.commit.lock().await;
            let composite = self.with_upload(&id, &bucket, &key, |upload| review(upload, &named))??;
            let object = self.path(&bucket, &key)?;
            if input.if_none_match.is_some() && object.exists() {
                return Err(s3_error!(PreconditionFailed, "Object already exists"));
            }
            if input.if_match.is_some() {
                return Err(s3_error!(NotImplemented, "If-Match is not looked at here"));
            }
            let e_tags: String = named.iter().filter_map(|part| part.e_tag.as_ref()).map(ETag::value).collect();
            let e_tag = format!("{}-{}", hex(&hash(e_tags.as_bytes())[..16]), named.len());
            let numbers: Vec<_> = named.iter().filter_map(|part| part.part_number).collect();
            let parts = Parts::new(&self.root, &id);
            let (to, told) = ((bucket.clone(), key.clone()), e_tag.clone());
            blocking(move || parts.complete(&numbers, &object, &to.0, &to.1, &told).map_err(S3Error::internal_error)).await?;
            let mut output = CompleteMultipartUploadOutput {
                bucket: Some(bucket.clone()),
                key: Some(key.clone()),
                e_tag: Some(ETag::Strong(e_tag)),
                ..Default::default()
            };
            self.uploads.lock().expect("no holder panics").remove(&id);
            self.set_composite(&bucket, &key, composite.clone());
            if composite.is_some() {
                output.checksum_sha256 = composite;
                output.checksum_type = Some(ChecksumType::COMPOSITE.to_owned().into());
            }
            Ok(S3Response::new(output))
        }

        fn abort_multipart_upload(self, request: AbortMultipartUploadInput) -> AbortMultipartUploadOutput {
            let id = request.input.upload_id.clone();
            self.with_upload(&id, &request.input.bucket, &request.input.key, |_| ())?;
            let response = self.files.abort_multipart_upload(request).await?;
            self.uploads.lock().expect("no holder panics").remove(&id);
            Ok(response)
        }

        fn list_multipart_uploads(self, request: ListMultipartUploadsInput) -> ListMultipartUploadsOutput {
            let ListMultipartUploadsInput { bucket, prefix, .. } = request.input;
            self.bucket_exists(&bucket)?;
            let wanted = |upload: &Upload| {
                upload.bucket == bucket && upload.key.starts_with(prefix.as_deref().unwrap_or_default())
            };
            let uploads = self.uploads.lock().expect("no holder panics");
            let open = uploads.iter().filter(|(_, upload)| wanted(upload)).map(|(id, upload)| MultipartUpload {
                upload_id: Some(id.clone()),
                key: Some(upload.key.clone()),
                initiated: Some(upload.initiated.into()),
                checksum_algorithm: upload.checksum_algorithm.clone(),
                ..Default::default()
            });
            let open = open.collect();
            drop(uploads);
            let output = ListMultipartUploadsOutput {
                bucket: Some(bucket),
                prefix,
                uploads: Some(open),
                is_truncated: Some(false),
                ..Default::default()
            };
            Ok(S3Response::new(output))
        }
    }
}

async fn whole(body: Option<StreamingBlob>) -> S3Result<bytes::Bytes> {
    let mut body = Body::from(body.ok_or_else(|| s3_error!(IncompleteBody))?);
    body.store_all_limited(MAX_BODY).await.map_err(|_| s3_error!(IncompleteBody))
}

/// Work on files and hashes, off the threads that serve.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> S3Result<T> + Send + 'static) -> S3Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(S3Error::internal_error)?
}

fn is_sha256(upload: &Upload) -> bool {
    upload
        .checksum_algorithm
        .as_ref()
        .is_some_and(|algorithm| algorithm.as_str() == ChecksumAlgorithm::SHA256)
}

/// Compares every checksum that was given, in a header or behind the body, with the bytes that came. The order is
/// that of `HEADERS`. Gives SHA-256 if that was one of them.
fn check(bytes: &[u8], given: [Option<String>; 5], trailers: Option<&s3s::TrailingHeaders>) -> S3Result<Option<[u8; 32]>> {
    const HEADERS: [&str; 5] = [
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc32c",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
        "x-amz-checksum-crc64nvme",
    ];
    let trailing = |name: &str| trailers?.read(|map| Some(map.get(name)?.to_str().ok()?.to_owned()))?;
    let mut given = given;
    given
        .iter_mut()
        .zip(HEADERS)
        .for_each(|(given, name)| *given = given.take().or_else(|| trailing(name)));
    let [crc32, crc32c, sha1, sha256, crc64nvme] = &given;
    let mut hasher = ChecksumHasher {
        crc32: crc32.as_ref().map(|_| Default::default()),
        crc32c: crc32c.as_ref().map(|_| Default::default()),
        sha1: sha1.as_ref().map(|_| Default::default()),
        sha256: None, // by a faster library
        crc64nvme: crc64nvme.as_ref().map(|_| Default::default()),
    };
    hasher.update(bytes);
    let sums = hasher.finalize();
    let own_sha256 = sha256.as_ref().map(|_| hash(bytes));
    let sums = [
        sums.checksum_crc32,
        sums.checksum_crc32c,
        sums.checksum_sha1,
        own_sha256.map(|sum| base64(&sum)),
        sums.checksum_crc64nvme,
    ];
    match (0..5).find(|index| given[*index] != sums[*index]) {
        Some(wrong) => Err(s3_error!(BadDigest, "the body does not have the {} that was given", HEADERS[wrong])),
        None => Ok(own_sha256),
    }
}

/// S3's review before it puts an object together: order, presence, ETag, size, checksum. Gives the composite checksum.
fn review(upload: &Upload, named: &[CompletedPart]) -> S3Result<Option<String>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML));
    }
    if !named.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(InvalidPartOrder));
    }
    let mut hashes = Vec::with_capacity(named.len() * 32);
    for (index, part) in named.iter().enumerate() {
        let stored = part.part_number.and_then(|number| upload.parts.get(&number));
        let stored = stored.ok_or_else(|| s3_error!(InvalidPart))?;
        let wrong_sum = part.checksum_sha256.as_ref().is_some_and(|given| *given != base64(&stored.sha256));
        if part.e_tag != stored.e_tag || wrong_sum {
            return Err(s3_error!(InvalidPart));
        }
        if stored.size < MIN_PART && index + 1 < named.len() {
            return Err(s3_error!(EntityTooSmall));
        }
        hashes.extend_from_slice(&stored.sha256);
    }
    Ok(is_sha256(upload).then(|| format!("{}-{}", base64(&hash(&hashes)), named.len())))
}

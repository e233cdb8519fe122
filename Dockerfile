# Images from one build: `lambda` (the default, last), `ecs` (non-root, works with a read-only root), and `drill`, which
# also has the servers that a drill restores into, and is larger by them; it starts as root and drops to two users.
#
#   BUILDX_NO_DEFAULT_ATTESTATIONS=1 docker build -t pgseal .
#   docker build --target ecs -t pgseal:ecs .
#   docker build --target drill -t pgseal:drill .
#
# The variable keeps the first one's manifest a plain one: Lambda refuses an image index. Older clients ignore it.
#   --build-arg PG_SOURCE=debian          Debian's own client (one major) where PGDG cannot be reached
#   --build-arg PG_MAJORS="16 17 18"      fewer or other majors of PGDG
#   --build-arg BASE_IMAGE=debian:trixie-slim@sha256:…  the base by its digest, as you have checked it; RUST_IMAGE too
#   --build-arg REVISION="$(git rev-parse HEAD)"        the commit, for `pgseal --version -v` and the image's label
#   --secret id=ca,src=company-roots.pem  roots to trust during the build only; they never enter an image
#
# Each image holds what it is made of as CycloneDX: /usr/share/pgseal/sbom.cdx.json. If you want pins that the variables of a
# task cannot change, build on it with one line: COPY pins.json /etc/pgseal/pins.json (docs/THREATS.md).

# checkov:skip=CKV_DOCKER_2:a backup is a job that ends, not a service with a health
# checkov:skip=CKV_DOCKER_3:Lambda picks the user, and sam local adds its emulator as root; the target ecs has a USER
# checkov:skip=CKV_DOCKER_8:the target drill starts as root to give the server and psql users of their own
# checkov:skip=CKV_DOCKER_7:the tag is in the argument, which the check does not read
ARG RUST_IMAGE=rust:1.95-slim-trixie
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE} AS base

# --- the program ---
FROM ${RUST_IMAGE} AS builder
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
# `pgseal explain` quotes it.
COPY docs/ERRORS.md docs/
COPY crates crates
# Of the workspace, which is read as a whole.
COPY demo/s3_server demo/s3_server
COPY scripts/sbom.sh scripts/sbom.sh
ARG REVISION=unknown
# Cargo compares times of files; the cached target may hold a later build of other sources: hence `touch`.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt,mode=0444 \
    find src crates -type f -exec touch {} + \
    && SOURCE_REVISION="$REVISION" cargo build --release --locked --bin pgseal \
    && install -D target/release/pgseal /out/pgseal \
    && bash scripts/sbom.sh crates >/out/crates.tsv

# --- PostgreSQL's client tools: binaries and the libraries that the base lacks, not the packages with their Perl ---
FROM base AS clients
ARG PG_SOURCE=pgdg
ARG PG_MAJORS="14 15 16 17 18"
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Public roots first, in a step of their own: what the secret brings is mounted over this very file later.
# No versions are pinned here and below: a rebuild is how security updates get in.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

# PGDG is added by Debian's own script, which carries PGDG's signing key.
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt,mode=0444 \
    set -eu; \
    apt-get update; \
    case "$PG_SOURCE" in \
    pgdg) \
        apt-get install -y --no-install-recommends postgresql-common; \
        /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y; \
        read -ra majors <<<"$PG_MAJORS"; \
        apt-get install -y --no-install-recommends "${majors[@]/#/postgresql-client-}" ;; \
    debian) apt-get install -y --no-install-recommends postgresql-client ;; \
    *) echo "PG_SOURCE is pgdg or debian, not $PG_SOURCE" >&2; exit 1 ;; \
    esac; \
    rm -rf /var/lib/apt/lists/*

RUN --mount=type=bind,from=base,target=/base \
    --mount=type=bind,source=scripts,target=/tmp/scripts \
    set -eu; \
    mkdir /packages; \
    for tool in /usr/lib/postgresql/*/bin/{pg_dump,pg_dumpall,pg_restore,psql}; do \
        install -D "$tool" "/out$tool"; \
        echo "$tool" >>/packages/files; \
    done; \
    mapfile -t libraries < <(find /out/usr -type f -exec ldd {} + | awk '$2 == "=>" { print $3 }' | sort -u); \
    for library in "${libraries[@]}"; do \
        if [ -e "/base$library" ]; then continue; fi; \
        # /lib is a link to /usr/lib, and must stay one in the image.
        install -D -m 644 "$library" "/out/usr/${library#/usr/}"; \
        # Packages know their files by these names.
        realpath "$library" >>/packages/files; \
    done; \
    mapfile -t packages < <(xargs -a /packages/files dpkg -S | cut -d : -f 1 | sort -u); \
    bash /tmp/scripts/sbom.sh packages "${packages[@]}" ca-certificates >/packages/clients.tsv

# --- what they are made of: the crates, the base's packages and those that the clients and libraries are from ---
FROM base AS sbom
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN --mount=type=bind,from=builder,source=/out,target=/tmp/built \
    --mount=type=bind,from=clients,source=/packages,target=/tmp/packages \
    --mount=type=bind,source=scripts,target=/tmp/scripts \
    { bash /tmp/scripts/sbom.sh packages; cat /tmp/packages/clients.tsv; } \
    | bash /tmp/scripts/sbom.sh document /tmp/built/crates.tsv - >/sbom.cdx.json

# --- what both images hold ---
FROM base AS runtime
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pgseal" \
      org.opencontainers.image.description="Sealed backups of PostgreSQL on RDS, straight to S3" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=clients /out/ /
COPY --from=sbom /sbom.cdx.json /usr/share/pgseal/sbom.cdx.json
COPY --from=builder /out/pgseal /usr/local/bin/pgseal
ENTRYPOINT ["/usr/local/bin/pgseal"]

# --- ECS, Kubernetes, any container host ---
FROM runtime AS ecs
# A number needs no entry in /etc/passwd, and `runAsNonRoot` can check it.
USER 10001:10001

# --- Scheduled drills: the same program beside whole PostgreSQL servers ---
FROM base AS drill
ARG PG_SOURCE=pgdg
ARG PG_MAJORS="14 15 16 17 18"
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# No cluster is made while the packages are installed: a drill makes its own. `locales` has glibc's sources of all locales (17 MB; all of them made
# would be 220): a drill makes the one of its backup, such as en_US.UTF-8 of RDS.
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt,mode=0444 \
    set -eu; \
    mkdir -p /etc/postgresql-common; \
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf; \
    apt-get update; \
    case "$PG_SOURCE" in \
    pgdg) \
        apt-get install -y --no-install-recommends postgresql-common; \
        /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y; \
        read -ra majors <<<"$PG_MAJORS"; \
        apt-get install -y --no-install-recommends locales "${majors[@]/#/postgresql-}" ;; \
    debian) apt-get install -y --no-install-recommends locales postgresql ;; \
    *) echo "PG_SOURCE is pgdg or debian, not $PG_SOURCE" >&2; exit 1 ;; \
    esac; \
    rm -rf /var/lib/apt/lists/*
COPY --from=clients /out/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=builder /out/pgseal /usr/local/bin/pgseal
RUN --mount=type=bind,from=builder,source=/out,target=/tmp/built \
    --mount=type=bind,from=clients,source=/packages,target=/tmp/packages \
    --mount=type=bind,source=scripts,target=/tmp/scripts \
    mkdir -p /usr/share/pgseal \
    && { bash /tmp/scripts/sbom.sh packages; grep '^ca-certificates' /tmp/packages/clients.tsv; } | bash /tmp/scripts/sbom.sh document /tmp/built/crates.tsv - >/usr/share/pgseal/sbom.cdx.json
# Root drops to these two, which own nothing: so a backup's code is kept from the rest with and without Landlock.
RUN groupadd --gid 10002 pgseal-server \
    && useradd --uid 10002 --gid 10002 --no-create-home --shell /usr/sbin/nologin pgseal-server \
    && useradd --uid 10003 --gid 10002 --no-create-home --shell /usr/sbin/nologin pgseal-psql \
    # For `--user 10001`, confined by Landlock alone: initdb asks for the name of its user.
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin pgseal
# hadolint ignore=DL3002
USER 0:0
WORKDIR /tmp
ENTRYPOINT ["/usr/local/bin/pgseal"]

# --- Lambda, which picks its own user; `sam local` adds its emulator with the image's shell, as root ---
FROM runtime AS lambda

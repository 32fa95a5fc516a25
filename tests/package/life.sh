#!/usr/bin/env bash
# The life of the package on a machine: tests/package/run.sh starts this in namespaces of its own, with a directory that has the packages.
set -euo pipefail

stage=$1
fail() { echo "package: $*" >&2; exit 1; }
is() { [ "$1" = "$2" ] || fail "$3: $1 and not $2"; }

# The machine's files, with what is written to them kept apart, so that it can be seen at the end.
mount --make-rprivate /
mkdir "$stage/layer"
mount -t tmpfs tmpfs "$stage/layer"
mkdir "$stage/layer/written" "$stage/layer/work" "$stage/layer/root"
root=$stage/layer/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/layer/written,workdir=$stage/layer/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$stage" "$root/mnt"
ip link set lo up
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
inside() { chroot "$root" "$@"; }
# Images leave documentation out; here it is part of what is looked at.
install_package() { inside dpkg --path-include='/usr/share/*' "$@" >"$stage/dpkg" 2>&1 || fail "dpkg $*: $(cat "$stage/dpkg")"; }
there() { inside test -e "$1" || fail "$1 is not there"; }
gone() { if inside test -e "$1" || inside test -L "$1"; then fail "$1 is there"; fi; }

# Does what systemd does for the unit: credentials, state directory, a user without rights.
unit=$root/usr/lib/systemd/system/tallyd.service
user=64123
setting() { sed -n "s/^$1=//p" "$unit" | sed 's,%d,/run/credentials,g; s,%S,/var/lib,g'; }
start() {
    inside install -d -m 755 /var/lib/private
    inside install -d -o "$user" -g "$user" -m 700 /var/lib/private/tallyd
    inside ln -sfn private/tallyd /var/lib/tallyd
    inside install -d /run/credentials
    setting LoadCredential | while IFS=: read -r name path; do
        inside install -o "$user" -m 400 "$path" "/run/credentials/$name"
    done
    local command environment
    read -ra command <<<"$(setting ExecStart)"
    mapfile -t environment < <(setting Environment)
    # Not by the function, so that the process is the daemon itself.
    chroot "$root" env -i PATH=/usr/bin CREDENTIALS_DIRECTORY=/run/credentials "${environment[@]}" \
        setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs "${command[@]}" 2>"$stage/log" &
    daemon=$!
    timeout 30 grep -q -m 1 ' listening ' < <(tail -f -n +1 --pid "$daemon" "$stage/log") || fail "no start: $(cat "$stage/log")"
}
stop() {
    kill "$daemon"
    wait "$daemon" || fail "a bad end: $(cat "$stage/log")"
}
total() { inside tallyd report conversations.messages --from 2019-3-17 --to 2019-3-17 --json "$@" | sed 's/.*"total":\([0-9]*\).*/\1/'; }
line='message,storyId=5b07ffafc2376e30306d9b16,source=app count=5i 1552813201000000000'

echo 'installed'
install_package -i /mnt/tallyd.deb
is "$(inside stat -c '%a %U' /etc/tallyd/tokens.toml)" '600 root' 'the mode of tokens.toml'
is "$(inside readlink /etc/systemd/system/multi-user.target.wants/tallyd.service)" /lib/systemd/system/tallyd.service 'what is enabled'
gone /etc/systemd/system/sockets.target.wants/tallyd.socket
for file in README.md systemd/README.md systemd/CLUSTER.md systemd/nats-server.example.conf copyright LICENSE-MIT LICENSE-APACHE third-party-licences.gz monitoring/grafana/dashboard.json; do
    there "/usr/share/doc/tallyd/$file"
done
for page in man1/tallyd.1.gz man1/tallyd-serve.1.gz man5/tallyd.toml.5.gz; do there "/usr/share/man/$page"; done
inside bash -c '. /usr/share/bash-completion/completions/tallyd && complete -p tallyd' >/dev/null
there /usr/share/zsh/vendor-completions/_tallyd
there /usr/share/fish/vendor_completions.d/tallyd.fish
inside tallyd --check-config /etc/tallyd/tallyd.toml 2>/dev/null

echo 'counting'
start
echo "$line" | inside tallyd push --quiet -
is "$(total)" 5 'the report'
stop

echo 'installed again, and a later version'
inside sed -i 's/^# fsync = .*/fsync = "always"/' /etc/tallyd/tallyd.toml
inside bash -c 'tallyd token operator --scope admin 2>/mnt/secret >>/etc/tallyd/tokens.toml'
secret=$(sed 's/.*: //' "$stage/secret")
changed=$(inside cat /etc/tallyd/tallyd.toml /etc/tallyd/tokens.toml)
for package in tallyd.deb later.deb; do
    install_package --force-confold -i "/mnt/$package"
    is "$(inside cat /etc/tallyd/tallyd.toml /etc/tallyd/tokens.toml)" "$changed" "what was configured, after $package"
done
there /etc/tallyd/tallyd.toml.dpkg-dist
start
if total 2>/dev/null; then fail 'the token is not asked for'; fi
is "$(total --token "$secret")" 5 'the report of the later version'
stop

echo 'removed'
install_package -r tallyd
gone /usr/bin/tallyd
is "$(inside readlink /etc/systemd/system/tallyd.service)" /dev/null 'the unit that is gone'
there /var/lib/tallyd/journal
is "$(inside cat /etc/tallyd/tallyd.toml /etc/tallyd/tokens.toml)" "$changed" 'what was configured'

echo 'purged'
install_package -P tallyd
# What dpkg writes of every package, and what this script made.
left=$(cd "$stage/layer/written" && find . -mindepth 1 \( ! -type d -o -name '*tallyd*' \) \
    ! -path './var/lib/dpkg/*' ! -path './var/log/*' ! -path './var/cache/man/*' ! -path './run/credentials/*')
[ -z "$left" ] || fail "left after a purge: $left"

#!/usr/bin/env bash
# Becomes process 1 of a Debian: tests/package/systemd.sh starts this in namespaces of its own, with Debian's files, which stay as they are,
# and a directory that the machine has as /packages. What a container has to give systemd is at systemd.io/CONTAINER_INTERFACE.
set -euo pipefail

mount --make-rprivate /
layer=$2/layer
mkdir "$layer"
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/written" "$layer/work" "$layer/root"
root=$layer/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=$layer/written,workdir=$layer/work" "$root"
mkdir "$root/packages"
mount --bind "$2" "$root/packages"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
while read -r name minor; do
    mknod -m 666 "$root/dev/$name" c "${minor%:*}" "${minor#*:}"
done <<<'null 1:3
zero 1:5
full 1:7
random 1:8
urandom 1:9
tty 5:0'
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${stream%:*}" "$root/dev/${stream#*:}"; done
hostname fresh
echo fresh >"$root/etc/hostname"

cd "$root"
pivot_root . media
cd /
umount -l /media
mount --make-rshared /
exec env -i container=namespaces PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init

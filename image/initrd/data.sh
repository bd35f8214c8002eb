# shellcheck shell=dash
# Opens the data partition: makes it at the first start, repairs it when it is damaged, makes it
# again when repair fails, and never holds the start up for long. It is mounted read-only; who keeps
# something there makes it writable for that moment.
# Sourced by init, and by the test that damages partitions (image/tests).

DATA_OPTIONS=ro,noatime,nodev,nosuid,noexec,errors=remount-ro
DATA_LIMIT_S=${DATA_LIMIT_S:-20}
# The image has this one MiB before the end of the partition, where making a file system writes
# nothing. It goes when the file system is complete, so that power lost meanwhile means a first start
# again; and a partition without it that holds none is damaged, not new.
DATA_BLANK='bulle: blank'
# A copy of a damaged partition as it was found, for who knows what was in it.
DATA_REMAINS=${DATA_REMAINS:-/run/bulle-start/remains}
# By their paths: busybox would take programs of its own that bear these names.
E2FSCK=${E2FSCK:-/bin/e2fsck}
MKE2FS=${MKE2FS:-/bin/mke2fs}

# data_open DEVICE WHERE: prints one word, see init.
data_open() {
    if [ -z "$1" ]; then
        data_in_memory "$2"
    elif data_blank "$1"; then
        if data_make "$1" && data_mount "$1" "$2"; then echo made; else data_in_memory "$2"; fi
    elif data_ever_made "$1" && data_check "$1" && data_mount "$1" "$2"; then
        echo "$data_was"
    elif data_copy "$1" && data_make "$1" && data_mount "$1" "$2"; then
        echo rebuilt
    else
        data_in_memory "$2"
    fi
}

# Whether nothing was made here yet.
data_blank() {
    [ "$(dd if="$1" bs=512 skip="$(data_mark "$1")" count=1 2>/dev/null | tr -d '\0')" = "$DATA_BLANK" ]
}

# The sector of the mark.
data_mark() {
    data_size=$(blockdev --getsize64 "$1" 2>/dev/null || stat -c %s "$1")
    echo $((data_size / 512 - 2048))
}

# Whether this ever was a file system: by its magic number, at the start or at the first copy.
data_ever_made() {
    data_magic "$1" 1024 || data_magic "$1" $((8193 * 1024))
}

data_magic() {
    [ "$(data_byte "$1" $(($2 + 56)))/$(data_byte "$1" $(($2 + 57)))" = 83/239 ]
}

data_byte() { dd if="$1" bs=1 skip="$2" count=1 2>/dev/null | od -An -v -tu1 | tr -d ' \n'; }

# Blocks of 1 KiB: small files, and copies of the superblock even in 64 MiB. Without the feature that
# marks inodes as never used: copies of those marks are as old as the file system, and a repair
# that has to believe them takes files for free room.
data_make() {
    "$MKE2FS" -q -F -t ext4 -O ^metadata_csum,^uninit_bg -b 1024 -m 0 -L bulle-data -J size=4 \
        -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$1" >/dev/null 2>&1 || return 1
    sync
    dd if=/dev/zero of="$1" bs=512 seek="$(data_mark "$1")" count=1 conv=notrunc,fsync 2>/dev/null
}

data_mount() { mount -t ext4 -o "$DATA_OPTIONS" "$1" "$2" 2>/dev/null; }

# Replays the journal after a power cut, looks at all tables whatever the superblock says of itself,
# and repairs what is damaged when a copy is made: a repair may write where a lost file was. Sets
# data_was. Never with -p: that copies damaged descriptors over their good copies before it gives up.
data_check() {
    data_was=whole
    # A superblock that is gone is for the repair alone.
    if data_magic "$1" 1024; then
        # Not on one that needs none: it would write all the same.
        data_flags=$(data_byte "$1" 1120)
        [ "$((${data_flags:-0} & 4))" = 0 ] || data_e2fsck -y -E journal_only "$1"
        data_e2fsck -f -n "$1" && return
    fi
    data_copy "$1"
    data_was=repaired
    data_e2fsck -f -y "$1"
    # 1 and 2: it was not in order, and is now.
    [ $? -le 2 ]
}

data_e2fsck() { timeout "$DATA_LIMIT_S" "$E2FSCK" "$@" >/dev/null 2>&1; }

# What cannot be read is zero in the copy; no copy, or half of one, is no reason not to start.
data_copy() {
    [ ! -e "$DATA_REMAINS" ] || return 0
    (umask 077 && timeout "$DATA_LIMIT_S" dd if="$1" of="$DATA_REMAINS" bs=64k conv=noerror,sync 2>/dev/null)
    return 0
}

data_in_memory() {
    mount -t tmpfs -o nodev,nosuid,noexec,mode=0755,size=16m tmpfs "$1" && echo lost
}

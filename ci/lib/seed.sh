# shellcheck shell=bash
# Compiled dependencies, kept beside the roots so that a fresh clone does not compile them again.
#
# A seed holds only what was compiled from the registry, whose sources never change. The
# workspace's own crates are taken out of it: cargo judges those by file times, and the times of
# another checkout mean nothing here. Everything else about freshness is cargo's own business: it
# keys its files by version, features, profile and compiler, and ignores what does not match.

seed_key() { printf 'target-%s-%s\n' "$(recipe_hash build)" "$(sha256sum <"$TOP/Cargo.lock" | cut -c1-12)"; }

# Fills an empty out/target: from the seed of this very lock file, or else from the latest one.
seed_use() {
    [[ ! -d $OUT/target ]] || return 0
    [[ -f $TOP/Cargo.lock ]] || return 0
    with_lock "$OUT/.seed.lock" seed_copy
}

seed_copy() {
    [[ ! -d $OUT/target ]] || return 0
    local seed part=$OUT/target.part
    seed=$CACHE/$(seed_key)
    [[ -d $seed ]] || seed=$(seed_list | sed -n 1p)
    [[ -n $seed ]] || return 0
    rm -rf -- "$part"
    if step "compiled dependencies from the cache" seed-use cp -a --reflink=auto -- "$seed" "$part"; then
        touch -c "$seed"
        mv -- "$part" "$OUT/target"
    else
        # Only time is lost: cargo compiles what is not there.
        rm -rf -- "$part"
    fi
}

# Latest first, of this compiler only.
seed_list() {
    find "$CACHE" -maxdepth 1 -type d -name "target-$(recipe_hash build)-*" ! -name '*.part' -printf '%T@ %p\n' |
        sort -rn | cut -d' ' -f2-
}

# To be called when everything was built. Does nothing when this lock file has its seed.
seed_save() {
    [[ -d $CACHE/$(seed_key) ]] || with_lock "$CACHE/seed.lock" seed_store
}

seed_store() {
    local seed part used free profile old
    seed=$CACHE/$(seed_key) part=$CACHE/$(seed_key).part
    [[ ! -d $seed ]] || return 0
    used=$(du -sk --exclude=incremental "$OUT/target" | cut -f1)
    free=$(df -Pk "$CACHE" | awk 'NR == 2 { print $4 }')
    if ((free < used * 3)); then
        warn "compiled dependencies are not kept: too little room in $CACHE"
        return 0
    fi
    rm -rf -- "$CACHE"/target-*.part
    step "keep the compiled dependencies" seed-save seed_fill "$part" || {
        warn "they are kept another time"
        return 0
    }
    mv -- "$part" "$seed"
    # Two are enough: this one, and the one that another branch may still use.
    seed_list | sed 1,2d | while IFS= read -r old; do rm -rf -- "$old"; done
}

# The fingerprints come first: cargo writes one when its unit is whole, so whatever has one here
# was whole before its files were copied, even if another cargo is at work meanwhile.
seed_fill() {
    local part=$1 profile sub
    while IFS= read -r profile; do
        mkdir -p "$part/$profile"
        for sub in .fingerprint build deps; do
            [[ ! -d $OUT/target/$profile/$sub ]] ||
                cp -a --reflink=auto -- "$OUT/target/$profile/$sub" "$part/$profile/" || return 1
        done
        seed_strip "$part/$profile" || return 1
    done < <(cd "$OUT/target" && find . -mindepth 2 -maxdepth 3 -type d -name .fingerprint -printf '%h\n')
    [[ ! -e $OUT/target/.rustc_info.json ]] || cp -a -- "$OUT/target/.rustc_info.json" "$part/"
}

# Takes out every unit that did not come from the registry, by the lock file's own account.
seed_strip() {
    local dir=$1 unit name
    local -A registry=()
    while IFS= read -r name; do
        registry[$name]=1
    done < <(seed_packages with | grep -vxF -f <(seed_packages without))
    for unit in "$dir"/.fingerprint/* "$dir"/build/*; do
        [[ -e $unit ]] || continue
        name=${unit##*/}
        [[ $name =~ ^(.+)-[0-9a-f]{16}$ && -n ${registry[${BASH_REMATCH[1]}]:-} ]] || rm -rf -- "$unit"
    done
    # Files without a fingerprint are never looked at again; the large ones are ours, by name.
    while IFS= read -r name; do
        name=${name//-/_}
        find "$dir/deps" -maxdepth 1 -regextype posix-extended -regex ".*/(lib)?$name-[0-9a-f]{16}(\..*)?" -delete
    done < <(seed_targets)
}

# The names in Cargo.lock of packages that have a source (with), or that are ours (without).
seed_packages() {
    awk -v want="$1" '
        function flush() { if (name != "" && (sourced ? "with" : "without") == want) print name; name = ""; sourced = 0 }
        /^\[\[package\]\]/ { flush() }
        /^name = / { gsub(/"/, "", $3); name = $3 }
        /^source = / { sourced = 1 }
        END { flush() }' "$TOP/Cargo.lock"
}

# The names of everything our own packages build: libraries, programs, tests, benches.
seed_targets() {
    {
        seed_packages without
        printf '%s\n' bulle build_script_build
        find "$TOP"/{relay-core,appliance,webui,ci} \( -path '*/tests/*.rs' -o -path '*/src/bin/*.rs' -o -path '*/benches/*.rs' \) \
            -printf '%f\n' | sed 's/\.rs$//'
    } | sort -u
}

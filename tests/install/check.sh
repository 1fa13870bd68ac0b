#!/usr/bin/env bash
# check.sh SOURCE BUILD COMPILER: installs BUILD, moves it, and builds and runs a project that knows the package alone.
set -euo pipefail
export CMAKE_GENERATOR=Ninja  # scripts/test installs it, and no make
source_tree=$1 build_tree=$2 compiler=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=$source_tree/tests/data/golden/qwen3_moe

fail() { echo "FAILED: $*"; exit 1; }

cmake --install "$build_tree" --prefix "$work/staged" >"$work/install.log"
mv "$work/staged" "$work/prefix"  # a package must work wherever it is put
cp -r "$source_tree/examples/consumer" "$work/consumer"
libdir=$(dirname "$(find "$work/prefix" -name 'libmoe.*' -not -type l | head -1)")
export LD_LIBRARY_PATH=$libdir

echo "-- headers of the package do not reach into the tree"
! grep -rnE '#include *"(kernels|src|tests)/' "$work/prefix/include" || fail "a public header includes a private one"

echo "-- find_package"
cmake -S "$work/consumer" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_CXX_FLAGS=-Werror >"$work/log" 2>&1 || { cat "$work/log"; fail "the consumer does not configure"; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; fail "the consumer does not build"; }
by_cmake=$("$work/build/consumer" "$model")
echo "$by_cmake"
"$work/build/route"

echo "-- every example"
bash "$source_tree/tests/install/examples.sh" "$source_tree" "$work/prefix" "$compiler"

echo "-- the component headers needs tl-expected and nothing else"
mkdir "$work/headers"
cp "$source_tree/examples/consumer/main_headers.cpp" "$source_tree/examples/route_one_token.cpp" "$work/headers"
headers_alone() {  # COMPONENTS: a project that asks for these and may find none of the library's own needs
  cat >"$work/headers/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(headers LANGUAGES CXX)
find_package(moe REQUIRED COMPONENTS $1)
add_executable(route main_headers.cpp)
target_link_libraries(route PRIVATE moe::headers)
add_executable(route_one_token route_one_token.cpp)
target_link_libraries(route_one_token PRIVATE moe::headers)
END
  cmake -S "$work/headers" -B "$work/headers/build" "-DCMAKE_PREFIX_PATH=$work/prefix" -DCMAKE_CXX_COMPILER="$compiler" \
    "${without[@]}" >"$work/log" 2>&1
}
without=()
for package in OpenMP fmt PkgConfig xsimd Eigen3 nlohmann_json CLI11 doctest ZLIB benchmark; do
  without+=("-DCMAKE_DISABLE_FIND_PACKAGE_$package=ON")
done
headers_alone headers || { cat "$work/log"; fail "COMPONENTS headers does not configure"; }
cmake --build "$work/headers/build" >"$work/log" 2>&1 || { cat "$work/log"; fail "the headers' consumer does not build"; }
"$work/headers/build/route" && "$work/headers/build/route_one_token" >/dev/null
! headers_alone "headers gpu" || fail "a component that does not exist was found"
grep -q "moe has no component gpu here, expected headers" "$work/log" || { cat "$work/log"; fail "the unknown component is not named"; }

if [[ -f $work/prefix/include/moe.h ]]; then
  echo "-- from C: a project in C, and one line with pkg-config"
  bash "$source_tree/tests/install/from_c.sh" "$source_tree" "$work/prefix" "$model"
fi

echo "-- pkg-config"
export PKG_CONFIG_PATH=$libdir/pkgconfig
read -ra flags <<<"$(pkg-config --cflags --libs moe)"
"$compiler" -std=c++20 "$work/consumer/main.cpp" "${flags[@]}" -o "$work/by_pkg_config"
by_pkg_config=$("$work/by_pkg_config" "$model")
[[ $by_pkg_config == "$by_cmake" ]] || fail "pkg-config's program says '$by_pkg_config'"

echo "-- a bad file ends in one line and status 1"
! "$work/build/consumer" "$work/nothing.gguf" 2>"$work/said" || fail "a missing file was accepted"
[[ $(wc -l <"$work/said") == 1 ]] || fail "expected one line, got: $(cat "$work/said")"

echo "-- another minor version is refused"
sed -i 's/find_package(moe [0-9.]*/find_package(moe 0.999/' "$work/consumer/CMakeLists.txt"
! cmake -S "$work/consumer" -B "$work/refused" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" 2>&1 || fail "0.999 was found"
grep -q "requested version \"0.999\"" "$work/log" || { cat "$work/log"; fail "refused for another reason"; }

for program in "$work"/prefix/bin/*; do
  [[ -e $program ]] || continue
  "$program" --help >/dev/null || fail "$(basename "$program") --help does not run where it was installed"
done

echo "-- as a subdirectory of another project"
mkdir "$work/parent"
cp "$source_tree/examples/route_one_token.cpp" "$work/consumer/main.cpp" "$work/parent"
cat >"$work/parent/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(parent LANGUAGES CXX)
add_subdirectory($source_tree moe)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE moe::moe)
add_executable(route_one_token route_one_token.cpp)
target_link_libraries(route_one_token PRIVATE moe::headers)
END
cmake -S "$work/parent" -B "$work/parent/build" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "add_subdirectory does not configure"; }
cmake --build "$work/parent/build" --target route_one_token >"$work/log" 2>&1 || { cat "$work/log"; fail "it does not build"; }
"$work/parent/build/route_one_token"

echo "-- the same without the library, and with none of its needs"
sed -i '/consumer/d' "$work/parent/CMakeLists.txt"
cmake -S "$work/parent" -B "$work/parent/headers" -DCMAKE_CXX_COMPILER="$compiler" -DMOE_BUILD_LIBRARY=OFF "${without[@]}" \
  >"$work/log" 2>&1 || { cat "$work/log"; fail "MOE_BUILD_LIBRARY=OFF does not configure"; }
cmake --build "$work/parent/headers" >"$work/log" 2>&1 || { cat "$work/log"; fail "MOE_BUILD_LIBRARY=OFF does not build"; }
"$work/parent/headers/route_one_token"

echo "-- the headers alone, installed"
cmake -S "$source_tree" -B "$work/alone" -DCMAKE_CXX_COMPILER="$compiler" -DMOE_BUILD_LIBRARY=OFF "${without[@]}" \
  >"$work/log" 2>&1 || { cat "$work/log"; fail "MOE_BUILD_LIBRARY=OFF does not configure by itself"; }
rm -r "$work/prefix" "$work/headers/build"
cmake --install "$work/alone" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; fail "the headers do not install"; }
headers_alone headers || { cat "$work/log"; fail "the headers alone are not found"; }
cmake --build "$work/headers/build" >"$work/log" 2>&1 || { cat "$work/log"; fail "the headers alone do not build"; }
! headers_alone "headers moe" || fail "the component moe was found where only headers are installed"

echo "-- a target that the library does not run on is refused in words"
! cmake -S "$source_tree" -B "$work/elsewhere" -DCMAKE_SYSTEM_NAME=FreeBSD -DCMAKE_CXX_COMPILER="$compiler" >"$work/log" 2>&1 ||
  fail "FreeBSD was accepted"
grep -q "libmoe runs on Linux, the target is FreeBSD" "$work/log" || { cat "$work/log"; fail "refused for another reason"; }

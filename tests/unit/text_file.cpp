// Whole texts from outside: files of every kind, pipes, and what would never end.

#include "support/text_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include "fuzz/bad_input.hpp"

namespace text_file_test {

namespace {

using namespace moe_test;
using moe::ErrorCode;
using moe::read_text;
using moe::Streams;
using moe::TextLimits;

TextLimits limits(std::uint64_t bytes, Streams streams = Streams::allowed) {
  TextLimits out{bytes, streams};
  out.idle_ms = 200;
  out.writer_ms = 200;
  return out;
}

std::string make_fifo(const TemporaryDirectory& dir) {
  const std::string path = (dir.path() / "fifo").string();
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  return path;
}

/// Opens the FIFO for writing in a thread of its own, writes the pieces with a pause before each, and closes it.
class Writer {
 public:
  Writer(std::string path, std::vector<std::string> pieces, std::chrono::milliseconds pause = {})
      : thread_([path = std::move(path), pieces = std::move(pieces), pause] {
          const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
          for (const std::string& piece : pieces) {
            std::this_thread::sleep_for(pause);
            // Who reads may have gone away.
            if (::write(fd, piece.data(), piece.size()) < 0) break;
          }
          std::this_thread::sleep_for(pause);
          ::close(fd);
        }) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { thread_.join(); }

 private:
  std::thread thread_;
};

}  // namespace

TEST_CASE("regular files, up to the limit and no byte more") {
  const TemporaryDirectory dir;
  const std::string path = dir.write("a.txt", "hello");
  CHECK(read_text(path, 5).value() == "hello");
  CHECK(read_text(path, 1 << 20).value() == "hello");
  CHECK(read_text(path, limits(5)).value() == "hello");
  check_refused(read_text(path, 4), ErrorCode::bad_file, {path, "has 5 bytes", "at most 4"});
  CHECK(read_text(dir.write("empty", ""), 0).value().empty());
  const std::string sparse = dir.write("sparse.jsonl", "");
  REQUIRE(::truncate(sparse.c_str(), std::int64_t{1} << 40) == 0);
  check_refused(read_text(sparse, limits(1 << 20)), ErrorCode::bad_file, {sparse, "1099511627776 bytes"});
  check_refused(read_text((dir.path() / "absent").string(), 9), ErrorCode::not_found, {"absent", "No such file"});
  check_refused(read_text(path + "/x", 9), ErrorCode::not_found, {"a.txt/x"});
  check_refused(read_text(std::string("a\0b", 3), 9), ErrorCode::not_found, {"NUL"});
}

TEST_CASE("files that say they are empty and are not") {
  CHECK(read_text("/proc/self/status", 1 << 20).value().find("Name:") == 0);
  check_refused(read_text("/proc/self/status", 3), ErrorCode::bad_file, {"/proc/self/status", "more than 3 bytes"});
}

TEST_CASE("what is no file is called by its kind") {
  const TemporaryDirectory dir;
  const std::string path = dir.path().string();
  for (const Streams streams : {Streams::refused, Streams::allowed}) {
    check_refused(read_text(path, limits(9, streams)), ErrorCode::bad_file, {path, "a directory", "regular file"});
    for (const char* device : {"/dev/zero", "/dev/urandom", "/dev/null", "/dev/full"})
      check_refused(read_text(device, limits(9, streams)), ErrorCode::bad_file, {device, "a character device"});
  }
  const std::string fifo = make_fifo(dir);
  check_refused(read_text(fifo, 9), ErrorCode::bad_file, {fifo, "a FIFO", "expected a regular file"});
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket_path = (dir.path() / "socket").string();
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(descriptor >= 0);
  REQUIRE(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  check_refused(read_text(socket_path, limits(9)), ErrorCode::bad_file, {socket_path, "a socket"});
  ::close(descriptor);
  // "-" is a file's name where no stream makes sense.
  check_refused(read_text("-", limits(9, Streams::refused)), ErrorCode::not_found, {"-"});
}

TEST_CASE("a FIFO: read while somebody writes, refused where nobody does") {
  const TemporaryDirectory dir;
  const std::string fifo = make_fifo(dir);
  const auto start = std::chrono::steady_clock::now();
  check_refused(read_text(fifo, limits(9)), ErrorCode::bad_file, {fifo, "a FIFO that nobody writes into"});
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  {
    const Writer writer(fifo, {"one ", "two ", "three"}, std::chrono::milliseconds(30));
    CHECK(read_text(fifo, limits(100)).value() == "one two three");
  }
  {
    const std::string large(300'000, 'x');
    const Writer writer(fifo, {large, large});
    CHECK(read_text(fifo, limits(600'000)).value().size() == 600'000);
  }
}

TEST_CASE("a FIFO whose writer writes nothing, too much, or stops in the middle") {
  const TemporaryDirectory dir;
  const std::string fifo = make_fifo(dir);
  // Open for both: there is a writer, and no end.
  const int held = ::open(fifo.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(held >= 0);
  check_refused(read_text(fifo, limits(9)), ErrorCode::bad_file, {fifo, "gave nothing for 0.2 s"});
  REQUIRE(::write(held, "half", 4) == 4);
  check_refused(read_text(fifo, limits(9)), ErrorCode::bad_file, {fifo, "gave nothing for 0.2 s"});
  REQUIRE(::write(held, "0123456789", 10) == 10);
  check_refused(read_text(fifo, limits(9)), ErrorCode::bad_file, {fifo, "more than 9 bytes"});
  ::close(held);
}

TEST_CASE("a stream with nothing to read can be cancelled") {
  const TemporaryDirectory dir;
  const std::string fifo = make_fifo(dir);
  const int held = ::open(fifo.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(held >= 0);
  TextLimits patient{9, Streams::allowed};
  int asked = 0;
  patient.cancelled = [&] { return ++asked == 2; };
  check_refused(read_text(fifo, patient), ErrorCode::cancelled, {fifo});
  ::close(held);
}

TEST_CASE("a pipe under the name that shells give it") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const std::string name = "/dev/fd/" + std::to_string(ends[0]);
  REQUIRE(::write(ends[1], "lines", 5) == 5);
  ::close(ends[1]);
  CHECK(read_text(name, limits(9)).value() == "lines");
  CHECK(read_text(name, limits(9)).value().empty());
  ::close(ends[0]);
}

}  // namespace text_file_test

// libFuzzer entry: any byte string as what a client of moe-serve sends: the reader of requests, whatever its bytes are cut
// into, then its body against every request table.
// clang++ with -DMOE_FUZZ=ON, see CMakeLists.txt.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "serve/api/tables.hpp"
#include "serve/http/request_reader.hpp"

namespace {

using namespace moe::serve;

void complain(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

void check_body(std::string_view body) {
  const auto document = api::read_body(body);
  if (!document) return;
  for (const auto table :
       {api::completions_table(), api::chat_table(), api::tokenize_table(), api::detokenize_table()}) {
    const auto fields = api::Fields::check(document->root(), table, false);
    if (!fields) continue;
    for (const char c : api::ignored_header(*fields))
      if (c < ' ' || c == 0x7F) complain("a header of the answer has a control character");
  }
}

// The requests that are read: their bodies one after the other, and what ended it.
std::string read(std::string_view bytes, std::size_t step) {
  std::string out;
  http::RequestReader reader(1 << 16);
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    reader.append(bytes.substr(at, step));
    for (;;) {
      if (const auto fault = reader.read()) return out + "!";
      if (reader.state() == http::RequestReader::State::head) break;
      reader.go_on();
      if (const auto fault = reader.read()) return out + "!";
      if (reader.state() != http::RequestReader::State::complete) break;
      out += reader.request().method + " " + reader.request().path + "\n" + reader.request().body;
      check_body(reader.request().body);
      reader.next();
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_body(bytes);
  if (read(bytes, bytes.size() + 1) != read(bytes, 7)) complain("the requests depend on how their bytes were cut");
  return 0;
}

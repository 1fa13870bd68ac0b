// What the reference harness has from Python: strip(), floats as text, random.sample; and SHA-256.

#include <string>

#include "eval/score/python_random.hpp"
#include "eval/score/text.hpp"
#include "scratch_dir.hpp"
#include "support/python_float.hpp"
#include "support/sha256.hpp"

namespace eval_python_test {

using namespace moe::eval;

TEST_CASE("strip is Python's: all Unicode white space, at both ends, nothing else") {
  const std::u32string spaces =
      U"\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
      U"\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";
  std::string all;
  for (char32_t c : spaces) {
    if (c < 0x80) {
      all += static_cast<char>(c);
    } else if (c < 0x800) {
      all += static_cast<char>(0xC0 | (c >> 6)), all += static_cast<char>(0x80 | (c & 0x3F));
    } else {
      all += static_cast<char>(0xE0 | (c >> 12)), all += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
      all += static_cast<char>(0x80 | (c & 0x3F));
    }
  }
  CHECK(strip(all).empty());
  CHECK(strip(all + "x y" + all) == "x y");
  CHECK(rstrip_length("x\n\xe3\x80\x80") == 1);
  // Zero-width space, byte-order mark and a broken byte are not white space.
  for (const std::string kept : {"\xe2\x80\x8b", "\xef\xbb\xbf", "\xa0", "\x80\x80"}) CHECK(strip(kept) == kept);
  CHECK(code_points("a\xe2\x80\x99\xe4\xb8\xad") == 3);
}

TEST_CASE("floats print as Python prints them") {
  for (const auto& [x, text] : {std::pair{1.0, "1.0"},
                                {-0.1, "-0.1"},
                                {1e-5, "1e-05"},
                                {1e16, "1e+16"},
                                {123456789.125, "123456789.125"},
                                {-16.0, "-16.0"},
                                {5e-324, "5e-324"}})
    CHECK(moe::python_float(x) == text);
}

TEST_CASE("SHA-256 of FIPS 180-4's examples") {
  CHECK(moe::sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(moe::sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(moe::sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(moe::sha256_hex(std::string(1000, 'a')) == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

TEST_CASE("random.sample is CPython's, and its state advances from draw to draw") {
  struct Case {
    std::uint64_t seed;
    std::size_t population;
    std::vector<std::vector<std::size_t>> draws;  // printed by CPython 3.11
  };
  const std::vector<Case> cases = {
      {1234ull, 7473, {{6374, 3610, 957, 61, 742}, {7462, 6610, 4769, 286, 5501}, {5677, 687, 806, 6279, 2905}}},
      {1234ull, 21, {{14, 3, 0, 2, 1}, {2, 3, 11, 7, 0}}},
      {1234ull, 22, {{14, 3, 0, 2, 18}, {1, 21, 2, 3, 11}}},
      {7ull, 100, {{41, 19, 50, 83, 6, 9, 68, 12, 46, 74, 7, 64, 27, 4, 11, 55, 53, 8, 30, 70}}},
      {7ull, 277, {{165, 77, 202, 24, 37, 48,  187, 29,  259, 109, 19, 44,  222, 214, 35,
                    123, 46, 217, 30, 63, 114, 31,  147, 149, 101, 12, 249, 56,  11,  142}}},
      {7ull, 278, {{165, 77,  202, 24,  37, 274, 48,  187, 29,  259, 109, 19, 44, 222, 214,
                    35,  123, 46,  217, 30, 63,  114, 31,  203, 25,  113, 23, 68, 148, 73}}},
      {0ull, 1, {{0}, {0}}},
      {1099511627781ull, 60, {{32, 33, 17, 42, 1, 58}, {48, 52, 53, 50, 59, 2}}}};
  for (const Case& c : cases) {
    CAPTURE(c.population);
    PythonRandom random(c.seed);
    for (const auto& draw : c.draws) CHECK(random.sample(c.population, draw.size()) == draw);
  }
}

}  // namespace eval_python_test

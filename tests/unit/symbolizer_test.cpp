// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/symbolizer.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "tests/workloads/symbols/places.h"

namespace alloctrail {
namespace {

const Tgid kSelf{static_cast<uint32_t>(::getpid())};
const std::string kSource = SYMBOLS_FIXTURE_SOURCE;

std::string fixture_path(const std::string& name) {
  return SYMBOLS_FIXTURE_DIR "/lib" + name + ".so";
}

/// A fixture library in this process; see tests/workloads/symbols.
class Library {
 public:
  explicit Library(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) ADD_FAILURE() << ::dlerror();
  }
  ~Library() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  [[nodiscard]] Addr symbol(const char* name) const { return Addr{reinterpret_cast<uint64_t>(::dlsym(handle_, name))}; }
  [[nodiscard]] Addr place(const char* function) const {
    const auto call = reinterpret_cast<const void* (*)()>(raw(symbol(function)));
    return Addr{reinterpret_cast<uint64_t>(call())};
  }
  [[nodiscard]] uint32_t line(const std::string& function, int frame) const {
    const auto* places = reinterpret_cast<const fixture_place*>(raw(symbol("fixture_places")));
    while (places->function != nullptr && function != places->function) ++places;
    return static_cast<uint32_t>(places->lines[frame]);
  }

 private:
  void* handle_;
};

AddressSpace own_space() {
  auto mappings = read_mappings(kSelf);
  EXPECT_TRUE(mappings);
  return {kSelf, *std::move(mappings)};
}

const Mapping& mapping_of(const AddressSpace& space, Addr address) {
  for (const Mapping& mapping : space.mappings) {
    if (raw(address) >= mapping.start && raw(address) < mapping.end) return mapping;
  }
  ADD_FAILURE() << "not mapped";
  return space.mappings.front();
}

Addr offset(Addr address, uint64_t bytes) {
  return Addr{raw(address) + bytes};
}

// ---- libraries with debug information -----------------------------------------------------------------------------

struct Expected {
  const char* place;
  std::vector<std::string> functions;
};

const Expected kExpected[] = {
    {"call_outer", {"void const* fixture::inner<int>(int)", "fixture::Middle::step(int)", "fixture::outer(int)"}},
    {"call_member", {"fixture::Widget::member(char const*) const"}},
    {"call_hidden", {"fixture::(anonymous namespace)::hidden(long)"}},
    {"plain_function", {"plain_function"}},
    {"call_lambda", {"call_lambda::{lambda(int)#1}::operator()(int) const"}},
    {"call_local", {"call_local::Local::run()"}},
};

void expect_exact_frames(Symbolizer& symbolizer, const std::string& path) {
  const Library library(path);
  const AddressSpace space = own_space();
  for (const Expected& expected : kExpected) {
    SCOPED_TRACE(expected.place);
    const Addr address = library.place(expected.place);
    const Mapping& mapping = mapping_of(space, address);
    const std::vector<Frame> frames = symbolizer.resolve(space, address);
    ASSERT_EQ(frames.size(), expected.functions.size());
    for (size_t i = 0; i < frames.size(); ++i) {
      EXPECT_EQ(frames[i].function, expected.functions[i]);
      EXPECT_EQ(frames[i].file, kSource);
      EXPECT_EQ(frames[i].line, library.line(expected.place, static_cast<int>(i)));
      EXPECT_EQ(frames[i].inlined, i + 1 < frames.size());
      EXPECT_EQ(frames[i].address, address);
      EXPECT_EQ(frames[i].module, path);
      EXPECT_EQ(frames[i].module_offset, mapping.file_offset + raw(address) - mapping.start);
    }
  }
}

class SymbolizerDebugInfo : public testing::TestWithParam<const char*> {};

TEST_P(SymbolizerDebugInfo, FunctionsFilesLinesAndInlinedCallsAreExact) {
  Symbolizer symbolizer;
  expect_exact_frames(symbolizer, fixture_path(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Kinds, SymbolizerDebugInfo,
                         testing::Values("symbols_dwarf5", "symbols_dwarf4", "symbols_packed", "symbols_no_build_id",
                                         "symbols_split", "symbols_split_by_checksum"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Symbolizer, MoreFilesThanStayOpenAreAllNamedExactlyTwice) {
  const std::filesystem::path folder = testing::TempDir() + "symbolizer_" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  Symbolizer symbolizer;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 40; ++i) {
      const std::filesystem::path copy = folder / ("lib" + std::to_string(i) + ".so");
      if (round == 0) std::filesystem::copy_file(fixture_path("symbols_dwarf5"), copy);
      expect_exact_frames(symbolizer, copy);
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(Symbolizer, NamesOutliveTheProcess) {
  const Library library(fixture_path("symbols_dwarf5"));
  AddressSpace space = own_space();
  const Addr address = library.place("call_outer");
  Symbolizer symbolizer;
  const std::vector<Frame> alive = symbolizer.resolve(space, address);
  space.pid = Tgid{0x7ffffff0};
  const std::vector<Frame> dead = symbolizer.resolve(space, address);
  ASSERT_EQ(dead.size(), 3U);
  EXPECT_EQ(dead[0].function, alive[0].function);
  // Another address of a file that is still open, too.
  EXPECT_EQ(symbolizer.resolve(space, library.place("call_member")).front().function,
            "fixture::Widget::member(char const*) const");
}

TEST(Symbolizer, FunctionInsideOfAFunctionIsNamed) {
#ifdef SYMBOLS_FIXTURE_NESTED
  const Library library(fixture_path("symbols_nested"));
  Symbolizer symbolizer;
  const std::vector<Frame> frames = symbolizer.resolve(own_space(), library.place("call_nested"));
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].function, "nested");
  EXPECT_EQ(frames[0].line, 10U);
#else
  GTEST_SKIP() << "only GCC has functions inside of functions";
#endif
}

// ---- libraries without it -----------------------------------------------------------------------------------------

TEST(Symbolizer, WithoutDebugInfoTheSymbolNamesTheFunction) {
  const Library library(fixture_path("symbols_bare"));
  const AddressSpace space = own_space();
  Symbolizer symbolizer;
  for (const Expected& expected : kExpected) {
    const std::vector<Frame> frames = symbolizer.resolve(space, library.place(expected.place));
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].function, expected.functions.back());
    EXPECT_EQ(frames[0].file, "");
    EXPECT_EQ(frames[0].line, 0U);
    EXPECT_FALSE(frames[0].inlined);
  }
}

TEST(Symbolizer, StrippedLibraryNamesItsExportsAndNothingElse) {
  const Library library(fixture_path("symbols_stripped"));
  const AddressSpace space = own_space();
  Symbolizer symbolizer;
  EXPECT_EQ(symbolizer.resolve(space, library.place("call_outer")).front().function, "fixture::outer(int)");
  EXPECT_EQ(symbolizer.resolve(space, library.place("plain_function")).front().function, "plain_function");
  const Frame hidden = symbolizer.resolve(space, library.place("call_hidden")).front();
  EXPECT_EQ(hidden.function, "");
  EXPECT_EQ(hidden.module, fixture_path("symbols_stripped"));
  EXPECT_NE(hidden.module_offset, 0U);
}

TEST(Symbolizer, MinidebugNamesHiddenFunctions) {
#ifdef SYMBOLS_FIXTURE_MINIDEBUG
  const Library library(fixture_path("symbols_minidebug"));
  Symbolizer symbolizer;
  EXPECT_EQ(symbolizer.resolve(own_space(), library.place("call_hidden")).front().function,
            "fixture::(anonymous namespace)::hidden(long)");
#else
  GTEST_SKIP() << "built without liblzma or xz";
#endif
}

TEST(Symbolizer, OfSeveralNamesThePublicOneIsTaken) {
  const Library library(fixture_path("symbols_bare"));
  Symbolizer symbolizer;
  EXPECT_EQ(symbolizer.resolve(own_space(), library.symbol("__fix")).front().function, "fix_alloc");
}

TEST(Symbolizer, AssemblerLabelReachesToTheNextOne) {
  const Library library(fixture_path("symbols_bare"));
  const AddressSpace space = own_space();
  const Addr first = library.symbol("asm_first");
  Symbolizer symbolizer;
  EXPECT_EQ(symbolizer.resolve(space, first).front().function, "asm_first");
  EXPECT_EQ(symbolizer.resolve(space, offset(first, 7)).front().function, "asm_first");
  EXPECT_EQ(symbolizer.resolve(space, offset(first, 8)).front().function, "asm_second");
}

TEST(Symbolizer, SystemLibraryIsNamed) {
  Symbolizer symbolizer;
  const Addr address{reinterpret_cast<uint64_t>(::dlsym(RTLD_DEFAULT, "getdate_r"))};
  const std::vector<Frame> frames = symbolizer.resolve(own_space(), offset(address, 1));
  EXPECT_EQ(frames.back().function, "getdate_r");
}

// ---- memory without a file ----------------------------------------------------------------------------------------

TEST(Symbolizer, VdsoIsNamed) {
  void* vdso = ::dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
  void* function = vdso != nullptr ? ::dlsym(vdso, "__vdso_clock_gettime") : nullptr;
  if (function == nullptr) GTEST_SKIP() << "this system has no vdso";
  Symbolizer symbolizer;
  const std::vector<Frame> frames =
      symbolizer.resolve(own_space(), offset(Addr{reinterpret_cast<uint64_t>(function)}, 1));
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].function, "clock_gettime");
  EXPECT_EQ(frames[0].module, "[vdso]");
}

TEST(Symbolizer, VdsoOfA32BitProgramIsNotNamedAfterOurs) {
  AddressSpace space = own_space();
  Mapping vdso;
  for (const Mapping& mapping : space.mappings) vdso = mapping.path == "[vdso]" ? mapping : vdso;
  const uint64_t bytes = vdso.end - vdso.start;
  vdso.start = 0xf7f00000;
  vdso.end = vdso.start + bytes;
  space.mappings = {vdso};
  Symbolizer symbolizer;
  for (uint64_t at = 0; at < bytes; at += 64) {
    EXPECT_EQ(symbolizer.resolve(space, Addr{vdso.start + at}).front().function, "");
  }
}

TEST(Symbolizer, AnonymousMemoryHasOnlyItsAddress) {
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const Addr address{reinterpret_cast<uint64_t>(memory) + 16};
  Symbolizer symbolizer;
  const std::vector<Frame> frames = symbolizer.resolve(own_space(), address);
  ::munmap(memory, 4096);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].address, address);
  EXPECT_EQ(frames[0].function + frames[0].module + frames[0].file, "");
  EXPECT_EQ(frames[0].module_offset, 0U);
}

TEST(Symbolizer, SpecialMappingKeepsItsName) {
  AddressSpace space{kSelf, {Mapping{}}};
  space.mappings[0].start = 0x1000;
  space.mappings[0].end = 0x3000;
  space.mappings[0].path = "[heap]";
  Symbolizer symbolizer;
  const std::vector<Frame> frames = symbolizer.resolve(space, Addr{0x2010});
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].module, "[heap]");
  EXPECT_EQ(frames[0].module_offset, 0x1010U);
  EXPECT_EQ(frames[0].function, "");
}

TEST(Symbolizer, AddressOutsideOfAllMappingsHasOnlyItsAddress) {
  AddressSpace space{kSelf, {Mapping{}}};
  space.mappings[0].start = 0x1000;
  space.mappings[0].end = 0x2000;
  space.mappings[0].path = "[heap]";
  Symbolizer symbolizer;
  for (const uint64_t address : {uint64_t{0}, uint64_t{0xfff}, uint64_t{0x2000}, ~uint64_t{0}}) {
    const std::vector<Frame> frames = symbolizer.resolve(space, Addr{address});
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(raw(frames[0].address), address);
    EXPECT_EQ(frames[0].module, "");
  }
  EXPECT_EQ(symbolizer.resolve({kSelf, {}}, Addr{0x1000}).size(), 1U);
}

TEST(Symbolizer, CodeOfAJustInTimeCompilerIsNamedByItsMap) {
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::string path = "/tmp/perf-" + std::to_string(::getpid()) + ".map";
  FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fprintf(file, "%lx 40 LazyCompile:~hot /app/a.js:10\n", reinterpret_cast<uint64_t>(memory));
  std::fclose(file);
  Symbolizer symbolizer;
  const std::vector<Frame> frames = symbolizer.resolve(own_space(), Addr{reinterpret_cast<uint64_t>(memory) + 0x3f});
  ::unlink(path.c_str());
  ::munmap(memory, 4096);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].function, "LazyCompile:~hot /app/a.js:10");
}

TEST(Symbolizer, MappedFileThatIsNotElfKeepsModuleAndOffset) {
  const AddressSpace whole = own_space();
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(::ftruncate(::fileno(file), 8192), 0);
  void* memory = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, ::fileno(file), 4096);
  ASSERT_NE(memory, MAP_FAILED);
  const AddressSpace space = own_space();
  const Addr address{reinterpret_cast<uint64_t>(memory) + 5};
  Symbolizer symbolizer;
  const std::vector<Frame> frames = symbolizer.resolve(space, address);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].module, mapping_of(space, address).path);
  EXPECT_EQ(frames[0].module_offset, 4096U + 5);
  EXPECT_EQ(frames[0].function, "");
  ::munmap(memory, 4096);
  std::fclose(file);
}

}  // namespace
}  // namespace alloctrail

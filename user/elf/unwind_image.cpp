// SPDX-License-Identifier: Apache-2.0
// Finds the call frame information of an x86-64 ELF image.
#include "user/elf/unwind_image.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "user/elf/cfi_cursor.h"

namespace alloctrail {
namespace {

constexpr uint64_t kMaxSectionNameBytes = 1u << 20;
constexpr uint32_t kSectionTypeUnwind = 0x70000001;  // SHT_X86_64_UNWIND, which clang gives .eh_frame
constexpr uint64_t kEhFrameHeaderBytes = 20;

template <class T>
std::optional<T> read_struct(const ImageReader& reader, uint64_t offset) {
  auto bytes = reader.read(offset, sizeof(T));
  if (!bytes) return std::nullopt;
  T value;
  std::memcpy(&value, bytes->view.data(), sizeof value);
  return value;
}

template <class T>
std::vector<T> read_array(const ImageReader& reader, uint64_t offset, uint64_t count) {
  auto bytes = reader.read(offset, count * sizeof(T));
  if (!bytes || count == 0) return {};
  std::vector<T> values(count);
  std::memcpy(values.data(), bytes->view.data(), count * sizeof(T));
  return values;
}

Result<Elf64_Ehdr> read_header(const ImageReader& reader, std::string_view name) {
  auto header = read_struct<Elf64_Ehdr>(reader, 0);
  const auto fail = [&](const char* why) {
    return Error{ErrorKind::NotSupported, std::string(name) + ": " + why, "", 0};
  };
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return fail("not an ELF file");
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_machine != EM_X86_64)
    return fail("not an ELF file for x86-64");
  if (header->e_phnum != 0 && header->e_phentsize != sizeof(Elf64_Phdr)) return fail("broken ELF program headers");
  return *header;
}

/// A section found by name, if it is in the file as it is meant to be read.
std::optional<Elf64_Shdr> find_section(const ImageReader& reader, const Elf64_Ehdr& header, std::string_view wanted) {
  if (header.e_shoff == 0 || header.e_shentsize != sizeof(Elf64_Shdr)) return std::nullopt;
  const auto sections = read_array<Elf64_Shdr>(reader, header.e_shoff, header.e_shnum);
  if (header.e_shstrndx >= sections.size()) return std::nullopt;
  const Elf64_Shdr& strings = sections[header.e_shstrndx];
  if (strings.sh_size > kMaxSectionNameBytes) return std::nullopt;
  const auto names = reader.read(strings.sh_offset, strings.sh_size);
  if (!names) return std::nullopt;

  const std::string_view text(reinterpret_cast<const char*>(names->view.data()), names->view.size());
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_name >= text.size()) continue;
    const std::string_view rest = text.substr(section.sh_name);
    if (rest.substr(0, wanted.size() + 1) != std::string_view(wanted.data(), wanted.size() + 1)) continue;
    const bool stored = section.sh_type == SHT_PROGBITS || section.sh_type == kSectionTypeUnwind;
    if (stored && (section.sh_flags & SHF_COMPRESSED) == 0) return section;
  }
  return std::nullopt;
}

CfiSection read_section(const ImageReader& reader, const std::optional<Elf64_Shdr>& section, CfiKind kind) {
  CfiSection result;
  result.kind = kind;
  if (!section || section->sh_size > kMaxCfiBytes) return result;
  if (auto bytes = reader.read(section->sh_offset, section->sh_size)) {
    result.vaddr = section->sh_addr;
    result.bytes = std::move(*bytes);
  }
  return result;
}

/// .eh_frame as the program loader sees it: PT_GNU_EH_FRAME points to a header, which points to the frames.
CfiSection eh_frame_by_segment(const ImageReader& reader, const std::vector<ImageSegment>& segments,
                               const Elf64_Phdr& header) {
  CfiSection result;
  const auto bytes = reader.read(header.p_offset, kEhFrameHeaderBytes);
  if (!bytes || bytes->view[0] != std::byte{1}) return result;
  CfiCursor cursor(bytes->view);
  cursor.skip(1);
  const uint8_t encoding = cursor.u8();
  cursor.skip(2);
  const auto address = cursor.encoded(encoding, header.p_vaddr);
  if (!address) return result;
  for (const ImageSegment& segment : segments) {
    if (!segment.contains(*address)) continue;
    const uint64_t skipped = *address - segment.vaddr;
    const uint64_t size = std::min(segment.size_bytes - skipped, kMaxCfiBytes);
    if (auto frames = reader.read(segment.file_offset + skipped, size)) {
      result.vaddr = *address;
      result.ends_at_terminator = true;
      result.bytes = std::move(*frames);
    }
    break;
  }
  return result;
}

std::optional<ImageSegment> loadable(const Elf64_Phdr& header, uint64_t image_bytes) {
  if (header.p_type != PT_LOAD || header.p_offset >= image_bytes) return std::nullopt;
  const uint64_t size = std::min({header.p_filesz, header.p_memsz, image_bytes - header.p_offset});
  if (size == 0 || header.p_vaddr > UINT64_MAX - size) return std::nullopt;
  return ImageSegment{header.p_offset, header.p_vaddr, size, (header.p_flags & PF_X) != 0};
}

}  // namespace

Result<ImageReader> ImageReader::open(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) {
    const int error = errno;
    return Error{ErrorKind::Failed, std::string("cannot look at the file: ") + std::strerror(error), "", error};
  }
  if (!S_ISREG(status.st_mode)) return Error{ErrorKind::NotSupported, "not a regular file", "", 0};
  return ImageReader(fd, static_cast<uint64_t>(status.st_size));
}

std::optional<ImageBytes> ImageReader::read(uint64_t offset, uint64_t size_bytes) const {
  if (offset > size_bytes_ || size_bytes > size_bytes_ - offset) return std::nullopt;
  ImageBytes result;
  if (fd_ < 0) {
    result.view = memory_.subspan(offset, size_bytes);
    return result;
  }
  result.owned = std::make_unique_for_overwrite<std::byte[]>(size_bytes);
  for (uint64_t done = 0; done < size_bytes;) {
    const ssize_t got = ::pread(fd_, result.owned.get() + done, size_bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    done += static_cast<uint64_t>(got);
  }
  result.view = {result.owned.get(), size_bytes};
  return result;
}

uint64_t UnwindImage::code_bytes() const {
  uint64_t total = 0;
  for (const ImageSegment& segment : segments)
    if (segment.executable) total += segment.size_bytes;
  return total;
}

Result<UnwindImage> read_unwind_image(const ImageReader& reader, std::string_view name) {
  const auto header = read_header(reader, name);
  if (!header) return header.error();
  UnwindImage image;
  image.entry_vaddr = header->e_entry;
  std::optional<Elf64_Phdr> frame_header;
  for (const Elf64_Phdr& program : read_array<Elf64_Phdr>(reader, header->e_phoff, header->e_phnum)) {
    if (auto segment = loadable(program, reader.size_bytes())) image.segments.push_back(*segment);
    if (program.p_type == PT_GNU_EH_FRAME) frame_header = program;
  }
  image.eh_frame = read_section(reader, find_section(reader, *header, ".eh_frame"), CfiKind::EhFrame);
  if (image.eh_frame.bytes.view.empty() && frame_header)
    image.eh_frame = eh_frame_by_segment(reader, image.segments, *frame_header);
  return image;
}

CfiSection read_debug_frame(const ImageReader& reader) {
  const auto header = read_struct<Elf64_Ehdr>(reader, 0);
  if (!header) return {};
  return read_section(reader, find_section(reader, *header, ".debug_frame"), CfiKind::DebugFrame);
}

}  // namespace alloctrail

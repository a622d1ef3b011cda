// SPDX-License-Identifier: Apache-2.0
#include "user/commands/explain.h"

#include <fmt/format.h>
#include <unistd.h>

#include <vector>

#include "user/output/field_guide.h"
#include "user/output/output_file.h"
#include "user/output/terminal.h"

namespace alloctrail {

Result<ExitCode> run_explain(const ExplainOptions& options) {
  std::vector<FieldEntry> entries;
  for (const std::string& name : options.fields) {
    const FieldEntry* entry = find_field(name);
    if (entry == nullptr)
      return Error{ErrorKind::Usage, "there is no figure '" + name + "'", "alloctrail explain lists all", 0};
    entries.push_back(*entry);
  }
  if (entries.empty()) entries.assign(field_guide().begin(), field_guide().end());
  auto sink = open_sink(std::nullopt, Delivery::Stream);
  if (!sink) return std::move(sink).error();
  const TextStyle style = text_style(STDOUT_FILENO, ColorWhen::Auto);
  std::string text;
  for (const FieldEntry& entry : entries) {
    text += TextLine(style).add(entry.name, Look::Heading).str();
    text += wrapped(fmt::format("  {} {}", entry.sentence, entry.advice), 2, Look::Plain, style);
  }
  if (auto written = (*sink)->write(text); !written) return std::move(written).error();
  if (auto done = (*sink)->finish(); !done) return std::move(done).error();
  return kExitOk;
}

}  // namespace alloctrail

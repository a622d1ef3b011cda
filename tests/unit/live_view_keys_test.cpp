// SPDX-License-Identifier: Apache-2.0
#include "user/tui/key_bindings.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>

#include "tests/unit/live_view_samples.h"
#include "user/tui/rows.h"

namespace alloctrail {
namespace {

using samples::leak_in_steps;
using samples::scene_of;
using Kind = Key::Kind;

/// A user at a screen of a fixed size.
class User {
 public:
  explicit User(std::shared_ptr<const Scene> scene) : scene_(std::move(scene)) { look(); }

  void press(Kind kind) { press(Key{.kind = kind}); }
  void press(const Key& key) {
    alloctrail::press(state, key, scene_, drawn_);
    look();
  }
  void type(std::string_view text) {
    for (const char c : text) press(Key{.character = static_cast<char32_t>(c)});
  }
  void see(std::shared_ptr<const Scene> scene) {
    scene_ = std::move(scene);
    look();
  }
  void resize(ScreenSize size) {
    size_ = size;
    look();
  }
  [[nodiscard]] std::string screen() const { return grid_text(drawn_.grid, Color::Off); }
  [[nodiscard]] bool sees(std::string_view text) const { return screen().find(text) != std::string::npos; }
  /// The text of the selected line.
  [[nodiscard]] std::string selected() const {
    std::string text;
    for (size_t row = drawn_.body_row; row < drawn_.grid.height(); ++row)
      if (drawn_.grid.at(row, 0).ground == Ground::Reversed)
        for (size_t column = 0; column < drawn_.grid.width(); ++column) text += drawn_.grid.at(row, column).text;
    return text;
  }
  [[nodiscard]] const Drawn& drawn() const { return drawn_; }

  ViewState state;

 private:
  void look() {
    drawn_ = draw(state.frozen ? *state.frozen : *scene_, state, size_);
    state.place().first = drawn_.first;
  }

  std::shared_ptr<const Scene> scene_;
  ScreenSize size_{100, 30};
  Drawn drawn_{CellGrid(0, 0)};
};

Snapshot step(size_t number) { return leak_in_steps().at(number); }

TEST(LiveViewKeys, TwoEntersLeadFromTheLeakingThreadToItsLine) {
  User user(scene_of(leak_in_steps()));
  EXPECT_NE(user.selected().find("worker-2"), std::string::npos) << user.screen();
  user.press(Kind::Enter);
  EXPECT_TRUE(user.sees("> stacks of worker-2 (4244)")) << user.screen();
  EXPECT_NE(user.selected().find("OrderBook::add order_book.cpp:88"), std::string::npos) << user.screen();
  user.press(Kind::Enter);
  EXPECT_TRUE(user.sees("/src/orders/order_book.cpp:88")) << user.screen();
  EXPECT_TRUE(user.sees("+343.3 MiB/h")) << user.screen();
  user.press(Kind::Escape);
  user.press(Kind::Escape);
  EXPECT_EQ(user.state.trail.size(), 1u);
  EXPECT_EQ(user.state.place().page, Page::Threads);
}

TEST(LiveViewKeys, SelectionFollowsItsItemWhenTheOrderChanges) {
  Snapshot before = step(0), after = step(1);
  User user(scene_of({before}));
  user.press(Kind::Down);
  const std::string held = user.selected();
  ASSERT_NE(held.find("worker-2"), std::string::npos) << user.screen();
  after.threads[2].allocated.bytes += 50'000'000;  // now it holds most
  user.see(scene_of({before, after}));
  EXPECT_NE(user.selected().find("worker-2"), std::string::npos) << user.screen();
  EXPECT_EQ(selected_position(rows(*scene_of({before, after}), user.state), user.state.place()), 0u);
}

TEST(LiveViewKeys, UntouchedSelectionStaysAtTheTop) {
  Snapshot before = step(0), after = step(1);
  User user(scene_of({before}));
  EXPECT_NE(user.selected().find("orders"), std::string::npos) << user.screen();
  after.threads[2].allocated.bytes += 50'000'000;
  user.see(scene_of({before, after}));
  EXPECT_NE(user.selected().find("worker-2"), std::string::npos) << user.screen();
}

TEST(LiveViewKeys, EqualRowsKeepTheirOrder) {
  Snapshot s = samples::many_threads(50);
  for (Thread& thread : s.threads) thread.allocated = {1000, 1};
  const auto scene = scene_of({s});
  ViewState state;
  const std::vector<Row> all = rows(*scene, state);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].number, i);
}

TEST(LiveViewKeys, MarkShowsWhatIsHeldMoreSince) {
  std::vector<Snapshot> steps = leak_in_steps();
  SceneBuilder builder;
  const auto add = [&](const Snapshot& snapshot) {
    Update update;
    update.snapshots.push_back(snapshot);
    builder.add(std::move(update));
    return builder.scene();
  };
  User user(add(steps[3]));
  EXPECT_FALSE(user.sees("SINCE MARK"));
  user.type("m");
  user.see(add(steps[4]));
  user.see(add(steps[5]));
  EXPECT_TRUE(user.sees("SINCE MARK")) << user.screen();
  EXPECT_NE(user.selected().find("+195.3 KiB"), std::string::npos) << user.screen();  // 200,000 bytes
  user.type("x");
  EXPECT_FALSE(user.sees("SINCE MARK"));
}

TEST(LiveViewKeys, FrozenScreenStaysWhileDataGoOn) {
  std::vector<Snapshot> steps = leak_in_steps();
  User user(scene_of({steps[0]}));
  user.type(" ");
  const std::string before = user.screen();
  EXPECT_NE(before.find("FROZEN"), std::string::npos);
  user.see(scene_of(steps));
  EXPECT_EQ(user.screen(), before);
  user.type(" ");
  EXPECT_TRUE(user.sees("12 s")) << user.screen();
}

TEST(LiveViewKeys, FilterShowsWhatMatchesAndRefusesWhatIsNoExpression) {
  User user(scene_of(leak_in_steps()));
  user.type("/WORKER-[12]");
  user.press(Kind::Enter);
  EXPECT_EQ(user.drawn().body_lines, 2u) << user.screen();
  user.type("/");
  user.type("(");
  user.press(Kind::Enter);
  EXPECT_TRUE(user.sees("not a regular expression")) << user.screen();
  user.press(Kind::Escape);
  EXPECT_EQ(user.drawn().body_lines, 2u);
  user.type("x");
  EXPECT_EQ(user.drawn().body_lines, 3u);
}

TEST(LiveViewKeys, StacksAreFoundByAnyFrameOfTheirs) {
  User user(scene_of(leak_in_steps()));
  user.type("2/start_thread");
  user.press(Kind::Enter);
  EXPECT_EQ(user.drawn().body_lines, 1u) << user.screen();
}

TEST(LiveViewKeys, CallTreeOfOneThreadStartsAtItsOuterEnd) {
  User user(scene_of(leak_in_steps()));
  user.press(Kind::Enter);
  user.type("t");
  EXPECT_TRUE(user.sees("> call tree of worker-2 (4244)")) << user.screen();
  EXPECT_TRUE(user.sees("handle_request")) << user.screen();
  EXPECT_FALSE(user.sees("Cache::insert")) << user.screen();
  user.type("t");
  EXPECT_EQ(user.state.place().page, Page::ThreadStacks);
}

TEST(LiveViewKeys, SortingGoesThroughTheColumnsAndBack) {
  User user(scene_of(leak_in_steps()));
  user.type(">");
  EXPECT_EQ(user.state.place().sort, SortBy::Growth);
  user.type("<<");
  EXPECT_EQ(user.state.place().sort, SortBy::Name);
  EXPECT_NE(user.selected().find("orders"), std::string::npos) << user.screen();
  user.type("r");
  EXPECT_NE(user.selected().find("worker-2"), std::string::npos) << user.screen();
}

TEST(LiveViewKeys, ClickSelectsTheLineUnderIt) {
  User user(scene_of(leak_in_steps()));
  user.press(Key{Kind::Click, 0, user.drawn().body_row + 2, 5});
  EXPECT_NE(user.selected().find("worker-1"), std::string::npos) << user.screen();
}

TEST(LiveViewKeys, SeveralProcessesAreOpenedFromTheirList) {
  std::vector<Snapshot> steps = leak_in_steps();
  steps.push_back(samples::idle());
  User user(scene_of(steps));
  user.type("0");
  user.press(Kind::Down);
  user.press(Kind::Enter);
  EXPECT_EQ(user.state.process, 1u);
  EXPECT_TRUE(user.sees("no thread has allocated")) << user.screen();
}

/// Every key at every moment, on every size of screen, while the data change: nothing breaks, nothing is drawn outside.
TEST(LiveViewKeys, NoSequenceOfKeysAndSizesBreaksTheScreen) {
  std::vector<Snapshot> steps = leak_in_steps();
  std::vector<std::shared_ptr<const Scene>> scenes = {std::make_shared<const Scene>()};
  SceneBuilder builder;
  for (size_t i = 0; i < steps.size(); ++i) {
    Update update;
    update.snapshots.push_back(std::move(steps[i]));
    if (i == 4) update.snapshots.push_back(samples::idle());
    if (i == 8) update.snapshots.back().end = EndReason::Exited;
    if (i > 8) update.snapshots.clear();
    builder.add(std::move(update));
    scenes.push_back(builder.scene());
  }
  constexpr std::string_view kCharacters = "tqwjk<>r/mx +-fo?h0123456789()[*a\x7f";
  std::mt19937 random(7);
  for (int run = 0; run < 25; ++run) {
    size_t at = 0;
    User user(scenes[at]);
    for (int i = 0; i < 120; ++i) {
      const uint32_t draw = random() % 100;
      if (draw < 10) user.resize({random() % 140 + 1, random() % 50 + 1});
      else if (draw < 20) user.see(scenes[at = std::min(at + 1, scenes.size() - 1)]);
      else if (draw < 55) user.type(kCharacters.substr(random() % kCharacters.size(), 1));
      else if (draw < 58) user.press(Key{.character = static_cast<char32_t>(random() % 0x10ffff)});
      else if (draw < 62) user.press(Key{Kind::Click, 0, random() % 60, random() % 150});
      else user.press(static_cast<Kind>(random() % 11 + 1));
      ASSERT_FALSE(user.state.trail.empty());
      ASSERT_EQ(user.screen().find('\x1b'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace alloctrail

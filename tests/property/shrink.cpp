#include "tests/property/shrink.h"

#include <algorithm>

#include "tests/property/rehearsal.h"

namespace swnat::property {
namespace {

class Shrinker {
 public:
  Shrinker(Failure failure, const std::function<bool(const Failure&)>& fails,
           std::uint32_t attempts)
      : best_(std::move(failure)), fails_(fails), attempts_left_(attempts) {}

  Failure run() {
    std::size_t before = 0;
    do {
      before = changes_;
      for (std::size_t size = best_.steps.size() / 2; size > 0; size /= 2) leave_out(size);
      for (std::size_t i = 0; i < best_.steps.size(); ++i) simplify_step(i);
      simplify_together();
      simplify_policies();
      simplify_setup();
    } while (changes_ != before);
    return best_;
  }

 private:
  // Keeps what `change` makes of the best so far if that is something else and still fails.
  template <class Change>
  bool attempt(Change change) {
    Failure candidate = best_;
    change(candidate);
    const bool is_same = candidate.steps == best_.steps &&
                         as_test_case(candidate.setup, {}) == as_test_case(best_.setup, {});
    if (is_same || attempts_left_ == 0) return false;
    --attempts_left_;
    if (!fails_(candidate)) return false;
    best_ = std::move(candidate);
    ++changes_;
    return true;
  }

  void leave_out(std::size_t size) {
    for (std::size_t first = 0; first + size <= best_.steps.size();) {
      const auto begin = static_cast<std::ptrdiff_t>(first);
      const auto end = static_cast<std::ptrdiff_t>(first + size);
      const bool still = attempt([&](Failure& one) {
        one.steps.erase(one.steps.begin() + begin, one.steps.begin() + end);
      });
      if (!still) first += size;
    }
  }

  // Sets a part of a step to what a plain step has.
  template <class Part>
  void plain(std::size_t number, Part Step::*part) {
    attempt([&](Failure& one) { one.steps[number].*part = Step{}.*part; });
  }
  template <class Part, class Detail>
  void plain(std::size_t number, Part Step::*part, Detail Part::*detail) {
    attempt([&](Failure& one) { one.steps[number].*part.*detail = Part{}.*detail; });
  }

  void simplify_step(std::size_t number) {
    plain(number, &Step::look);
    plain(number, &Step::look, &Look::sum);
    plain(number, &Step::look, &Look::ttl);
    plain(number, &Step::look, &Look::option_words);
    plain(number, &Step::look, &Look::may_be_cut);
    plain(number, &Step::look, &Look::payload);
    plain(number, &Step::look, &Look::trailing);
    plain(number, &Step::tcp);
    plain(number, &Step::tcp, &TcpFields::scale);
    plain(number, &Step::tcp, &TcpFields::window);
    plain(number, &Step::tcp, &TcpFields::reserved);
    plain(number, &Step::tcp, &TcpFields::acknowledgment);
    plain(number, &Step::tcp, &TcpFields::sequence);
    plain(number, &Step::tcp, &TcpFields::flags);
    plain(number, &Step::peer);
    plain(number, &Step::from);
    plain(number, &Step::from, &Internal::host);
    plain(number, &Step::remote);
    plain(number, &Step::remote_port);
    plain(number, &Step::guess);
    plain(number, &Step::external);
    plain(number, &Step::early);
    plain(number, &Step::raw);
    plain(number, &Step::by_host);
    plain(number, &Step::pieces);
    plain(number, &Step::arrival);
    plain(number, &Step::quoted);
    plain(number, &Step::error);
    plain(number, &Step::v6);
    plain(number, &Step::parts);
  }

  // The same for all steps at once, where they depend on each other.
  template <class Part>
  void together(Part Step::*part) {
    attempt([&](Failure& one) {
      for (Step& step : one.steps) step.*part = Step{}.*part;
    });
  }

  void simplify_together() {
    together(&Step::from);
    together(&Step::remote);
    together(&Step::remote_port);
    together(&Step::protocol);
    together(&Step::v6);
    attempt([](Failure& one) {
      for (Step& step : one.steps) step.from.tenant = step.peer.tenant = 1;
    });
    attempt([](Failure& one) {
      for (Step& step : one.steps) step.from.host = step.peer.host = 0;
    });
  }

  // In one policy after the other.
  template <class Simplify>
  void each_policy(Simplify simplify) {
    for (std::size_t i = 0; i < best_.setup.policies.size(); ++i) {
      attempt([&](Failure& one) { simplify(one.setup.policies[i]); });
    }
  }
  // In all together, for what is fixed for an engine's life.
  template <class Simplify>
  void all_policies(Simplify simplify) {
    attempt([&](Failure& one) {
      for (Policy& policy : one.setup.policies) simplify(policy);
    });
  }
  template <class Simplify>
  void all_namespaces(Simplify simplify) {
    all_policies([&](Policy& policy) {
      for (NamespacePolicy& own : policy.namespaces) simplify(own);
    });
  }

  void simplify_policies() {
    const Policy simple = plain_policy();
    each_policy([&](Policy& one) { one.filtering = simple.filtering; });
    each_policy([&](Policy& one) { one.at_limit = simple.at_limit; });
    each_policy([&](Policy& one) { one.hairpin = simple.hairpin; });
    each_policy([&](Policy& one) { one.timeouts = simple.timeouts; });
    each_policy([&](Policy& one) { one.timeouts.udp = simple.timeouts.udp; });
    each_policy([&](Policy& one) { one.timeouts.icmp = simple.timeouts.icmp; });
    each_policy([&](Policy& one) { one.timeouts.tcp_transitory = simple.timeouts.tcp_transitory; });
    each_policy(
        [&](Policy& one) { one.timeouts.tcp_established = simple.timeouts.tcp_established; });
    each_policy([](Policy& one) { one.drops.clear(); });
    each_policy([](Policy& one) { one.redirects.clear(); });
    each_policy([](Policy& one) {
      if (!one.redirects.empty()) one.redirects.pop_back();
    });
    each_policy([](Policy& one) { one.forwards.clear(); });
    each_policy([](Policy& one) {
      for (ForwardRule& rule : one.forwards) rule.session_limit = 0;
    });
    all_policies([&](Policy& one) { one.mapping = simple.mapping; });
    all_policies([&](Policy& one) { one.ports = simple.ports; });
    all_policies([&](Policy& one) {
      one.external = simple.external;
      for (NamespacePolicy& own : one.namespaces) own.external = {};
    });
    all_namespaces([](NamespacePolicy& own) { own.external = {}; });
    all_namespaces([](NamespacePolicy& own) { own.inside.clear(); });
    all_namespaces([](NamespacePolicy& own) { own.untranslated.clear(); });
    all_namespaces([](NamespacePolicy& own) { own.session_limit = 200; });
    all_namespaces([](NamespacePolicy& own) { own.port_limit = 0; });
    all_namespaces([](NamespacePolicy& own) { own.port_block = 0; });
    all_namespaces([](NamespacePolicy& own) { own.port_block = std::min(own.port_block, 64u); });
    all_policies([&](Policy& one) { one.namespaces = simple.namespaces; });
    all_policies([](Policy& one) {
      if (one.namespaces.size() > 1) one.namespaces.pop_back();
    });
  }

  void simplify_setup() {
    const Setup simple;
    attempt([&](Failure& one) { one.setup.shards = simple.shards; });
    attempt([&](Failure& one) { one.setup.max_sessions = simple.max_sessions; });
    attempt([&](Failure& one) { one.setup.start = simple.start; });
    attempt([&](Failure& one) { one.setup.secret = simple.secret; });
    const auto used = [&](std::size_t number) {
      return std::ranges::any_of(best_.steps, [&](const Step& step) {
        return step.what == What::configure && step.policy == number;
      });
    };
    while (best_.setup.policies.size() > 1 && !used(best_.setup.policies.size() - 1)) {
      if (!attempt([](Failure& one) { one.setup.policies.pop_back(); })) return;
    }
  }

  Failure best_;
  const std::function<bool(const Failure&)>& fails_;
  std::uint32_t attempts_left_;
  std::size_t changes_ = 0;
};

}  // namespace

Failure shrunk(Failure failure, const std::function<bool(const Failure&)>& fails,
               std::uint32_t attempts) {
  return Shrinker(std::move(failure), fails, attempts).run();
}

bool fails_alone(const Failure& failure) {
  try {
    return !disagreement(failure.setup, failure.steps).empty();
  } catch (const std::invalid_argument&) {
    return false;  // a configuration that the engine refuses
  }
}

}  // namespace swnat::property

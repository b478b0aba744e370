"""From a request to runs and outputs: plan, runner, workers, backends."""

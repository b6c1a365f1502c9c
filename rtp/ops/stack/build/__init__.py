"""From a project folder to a cloud assembly: checking processors, synthesis, the CDK CLI, the bootstrap."""

/** Headings that the flags of services stand below in the help. */
export const HEADINGS = {
  service: 'Service:',
  container: 'Container:',
  network: 'Network:',
  placement: 'Placement:',
  resources: 'Resources:',
  restarts: 'Restarts:',
  updates: 'Updates:',
  rollbacks: 'Rollbacks:',
  health: 'Health checks:',
  job: 'Jobs:',
  autoscaling: 'Autoscaling:',
  logs: 'Logs:',
  confinement: 'Confinement:',
  image: 'Image:',
  command: 'Options:',
} as const;
